const names = { likes: ['like', 'likes'], comments: ['comment', 'comments'], views: ['view', 'views'] };

/** What a score is made of, as a sum that a reader can do again. */
export function inWords({ score, explanation }) {
  const { formula, parts, points, order, time, ageHours, pull, gravity } = explanation;
  const sum = Object.entries(parts)
    .map(([name, { count, weight }]) => `${count} ${names[name][count === 1 ? 0 : 1]} × ${weight}`)
    .join(' + ');
  switch (formula) {
    case 'reddit':
      return `${sum} = ${points} points; log₁₀ of them ${short(order)} + time of the article ${short(time)} = ${short(score)}`;
    case 'hacker-news':
      return `${sum} = ${points} points; points^0.8 ${short(pull)} ÷ (${short(ageHours)} h + 2)^1.8 ${short(gravity)} = ${short(score)}`;
    default:
      return `${sum} = ${points}`;
  }
}

function short(value) {
  return Number(value.toPrecision(6));
}
