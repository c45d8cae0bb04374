import moleculer from 'moleculer';

const { Errors } = moleculer;

type ClientError = InstanceType<typeof Errors.MoleculerClientError>;

export function articleNotFound(id: string): ClientError {
  return new Errors.MoleculerClientError(`There is no article ${id}, or it was deleted.`, 404, 'ARTICLE_NOT_FOUND', {
    id,
  });
}

export function commentNotFound(id: string): ClientError {
  return new Errors.MoleculerClientError(`There is no comment ${id}, or it was deleted.`, 404, 'COMMENT_NOT_FOUND', {
    id,
  });
}
