/** Links to pages come ten at a time. */
const pagesShown = 10;

export interface Page {
  /** From 1. */
  page: number;
  pageSize: number;
}

/** Rows before the page. */
export function offsetOf({ page, pageSize }: Page): number {
  return (page - 1) * pageSize;
}

/**
 * How many rows need counting to show the links around a page: those of its ten pages, and one more to know whether there is
 * a next ten. Counting all rows of a large board would read its whole index.
 */
export function rowsToCount({ page, pageSize }: Page): number {
  return (Math.floor((page - 1) / pagesShown) + 1) * pageSize * pagesShown + 1;
}
