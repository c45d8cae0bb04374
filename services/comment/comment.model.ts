import sequelizePackage, { type Model, type ModelStatic, type Sequelize } from 'sequelize';

const { DataTypes } = sequelizePackage;

/** A comment as it is stored. Ids are decimal strings. */
export interface Comment {
  id: string;
  articleId: string;
  writerId: string;
  /** Null: a comment on the article itself. */
  parentId: string | null;
  content: string;
  createdAt: Date;
}

export type CommentModel = ModelStatic<Model<Comment, Omit<Comment, 'id'>> & Comment>;

export interface CommentModels {
  Comment: CommentModel;
}

export function defineComment(sequelize: Sequelize): CommentModel {
  return sequelize.define('Comment', attributes, { tableName: 'comment' }) as unknown as CommentModel;
}

const attributes = {
  id: { type: DataTypes.BIGINT.UNSIGNED, primaryKey: true, autoIncrement: true },
  articleId: { type: DataTypes.BIGINT.UNSIGNED, field: 'article_id', allowNull: false },
  writerId: { type: DataTypes.BIGINT.UNSIGNED, field: 'writer_id', allowNull: false },
  parentId: { type: DataTypes.BIGINT.UNSIGNED, field: 'parent_id', allowNull: true },
  content: { type: DataTypes.STRING(3000), allowNull: false },
  createdAt: { type: DataTypes.DATE(3), field: 'created_at', allowNull: false },
};
