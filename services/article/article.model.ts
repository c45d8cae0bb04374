import sequelizePackage, { type Model, type ModelStatic, type Sequelize } from 'sequelize';

const { DataTypes } = sequelizePackage;

/** An article as it is stored. Ids are decimal strings. */
export interface Article {
  id: string;
  boardId: string;
  writerId: string;
  title: string;
  content: string;
  createdAt: Date;
  modifiedAt: Date;
}

export type ArticleModel = ModelStatic<Model<Article, Omit<Article, 'id'>> & Article>;

export interface ArticleModels {
  Article: ArticleModel;
}

export function defineArticle(sequelize: Sequelize): ArticleModel {
  return sequelize.define('Article', attributes, { tableName: 'article' }) as unknown as ArticleModel;
}

const attributes = {
  id: { type: DataTypes.BIGINT.UNSIGNED, primaryKey: true, autoIncrement: true },
  boardId: { type: DataTypes.BIGINT.UNSIGNED, field: 'board_id', allowNull: false },
  writerId: { type: DataTypes.BIGINT.UNSIGNED, field: 'writer_id', allowNull: false },
  title: { type: DataTypes.STRING(200), allowNull: false },
  content: { type: DataTypes.TEXT('medium'), allowNull: false },
  createdAt: { type: DataTypes.DATE(3), field: 'created_at', allowNull: false },
  modifiedAt: { type: DataTypes.DATE(3), field: 'modified_at', allowNull: false },
};
