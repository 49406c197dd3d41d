//! `search`: tantivy, a search engine that services embed, builds an index of 1,000 documents in
//! memory and answers 100 queries on it, in one thread. One iteration is an index with its queries.

use std::hint::black_box;

use tantivy::collector::TopDocs;
use tantivy::directory::RamDirectory;
use tantivy::query::QueryParser;
use tantivy::schema::{FAST, Field, INDEXED, STORED, Schema, TEXT};
use tantivy::{Index, TantivyDocument, TantivyError};

use crate::{Scatter, Work};

const DOCUMENTS: u64 = 1_000;
const QUERIES: usize = 100;
const WORDS_A_BODY: u64 = 60;
const MEMORY: usize = 32 << 20;

/// What an iteration starts from.
struct Corpus {
    schema: Schema,
    fields: Vec<Field>,
    documents: Vec<String>,
    queries: Vec<String>,
}

pub(crate) fn index_and_query() -> Work {
    let corpus = corpus();
    Box::new(move |iterations| {
        for _ in 0..iterations {
            let index = build(&corpus).expect("the documents can be indexed");
            let found = query(&corpus, &index).expect("the queries can be answered");
            assert!(black_box(found) > 0, "no query found anything");
        }
    })
}

fn corpus() -> Corpus {
    let mut builder = Schema::builder();
    let title = builder.add_text_field("title", TEXT | STORED);
    let body = builder.add_text_field("body", TEXT);
    builder.add_u64_field("year", FAST | INDEXED | STORED);
    let mut scatter = Scatter::new(4);
    let documents = (0..DOCUMENTS)
        .map(|number| document(number, &mut scatter))
        .collect();
    let queries = (0..QUERIES)
        .map(|_| {
            format!(
                "{} AND {} OR title:{}",
                word(&mut scatter),
                word(&mut scatter),
                word(&mut scatter)
            )
        })
        .collect();
    Corpus {
        schema: builder.build(),
        fields: vec![title, body],
        documents,
        queries,
    }
}

fn document(number: u64, scatter: &mut Scatter) -> String {
    let title = format!("{} {} {number}", word(scatter), word(scatter));
    let body: Vec<String> = (0..WORDS_A_BODY).map(|_| word(scatter)).collect();
    serde_json::json!({ "title": title, "body": body.join(" "), "year": 1900 + scatter.below(125) })
        .to_string()
}

/// A word of a vocabulary in which a few are frequent and most are rare, as in a language.
fn word(scatter: &mut Scatter) -> String {
    let end = 1 + scatter.below(2_000);
    format!("word{}", scatter.below(end))
}

fn build(corpus: &Corpus) -> Result<Index, TantivyError> {
    let mut writer = Index::builder()
        .schema(corpus.schema.clone())
        .single_segment_index_writer::<TantivyDocument>(RamDirectory::create(), MEMORY)?;
    for text in &corpus.documents {
        writer.add_document(TantivyDocument::parse_json(&corpus.schema, text)?)?;
    }
    writer.finalize()
}

fn query(corpus: &Corpus, index: &Index) -> Result<usize, TantivyError> {
    let searcher = index.reader()?.searcher();
    let parser = QueryParser::for_index(index, corpus.fields.clone());
    let mut found = 0;
    for text in &corpus.queries {
        let query = parser.parse_query(text)?;
        for (_, address) in searcher.search(&query, &TopDocs::with_limit(10).order_by_score())? {
            let document: TantivyDocument = searcher.doc(address)?;
            found += document.len();
        }
    }
    Ok(found)
}
