const subjects = [
  'The night bus',
  'My balcony garden',
  'A quiet café',
  'The new library',
  'This weekend’s hike',
  'Our old dog',
  'A rainy Sunday',
  'The corner bakery',
];
const verbs = [
  'surprised everybody',
  'is better than I thought',
  'needs your advice',
  'made my week',
  'is worth a visit',
  'has a secret',
  'went wrong',
  'deserves more love',
];
const remarks = [
  'Same here!',
  'I had no idea.',
  'Where is that?',
  'Thank you for this.',
  'Not so sure…',
  'More of it, please.',
  'This made me smile.',
  'We should go together.',
];

const pick = (from: readonly string[], random: () => number) => from[Math.floor(random() * from.length)]!;

export const randomTitle = (random: () => number) => `${pick(subjects, random)} ${pick(verbs, random)}`;
export const randomRemark = (random: () => number) => pick(remarks, random);
