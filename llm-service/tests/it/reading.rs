//! The reading pass against the engine: two ways through the same weights, which must say the same.

use std::sync::Arc;

use llm_service::{
    model::{Ask, Model},
    source::ModelSource,
};

use crate::app::{app, model_path};

const BEGINNING: &str = "Post: I love my new phone, it is amazing!\nSentiment: positive\n\nPost:";
const TEXTS: [&str; 3] = [
    " This is the worst day ever, I hate it.",
    " The library opens at nine.",
    " Ελλάδα, 日本, 🎉 and more: a longer text, so that positions differ from those before it.",
];

/// The logits of some words after each text, alone and all together.
async fn logits(model: &Model) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let words = model.vocabulary();
    let head = model.head(words.encode(BEGINNING).unwrap()).await.unwrap();
    let tokens = [" positive", " negative", " good", " bad", " the", "!"];
    let tokens = tokens.map(|word| words.encode(word).unwrap()[0]).to_vec();
    let (head, labels) = (Arc::new(head), Arc::new(model.labels(tokens).unwrap()));
    let tail: Arc<[u32]> = words.encode("\nSentiment:").unwrap().into();
    let asks: Vec<Ask> = TEXTS
        .iter()
        .map(|text| Ask {
            head: Arc::clone(&head),
            text: words.encode(text).unwrap(),
            questions: vec![(Arc::clone(&tail), Arc::clone(&labels))],
        })
        .collect();
    let mut alone = Vec::new();
    for ask in &asks {
        alone.extend(
            model
                .read(vec![ask.clone()])
                .await
                .unwrap()
                .remove(0)
                .logits,
        );
    }
    let together = model.read(asks).await.unwrap();
    let together = together.into_iter().flat_map(|reading| reading.logits);
    (alone, together.collect())
}

/// The largest difference between two rows of rows.
fn distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[tokio::test]
async fn the_pass_reads_what_the_engine_reads() {
    let (_, _turn) = app().await;
    let source = ModelSource::File(model_path().into());
    let dense = Model::load(&source, true).await.unwrap();
    assert!(dense.about().dense);
    let (alone, together) = logits(&dense).await;
    assert!(distance(&alone, &together) < 1e-3, "{alone:?} {together:?}");
    drop(dense);
    let engine = Model::load(&source, false).await.unwrap();
    assert!(!engine.about().dense);
    let (engine, _) = logits(&engine).await;
    // The engine multiplies with quantized numbers on both sides.
    assert!(distance(&alone, &engine) < 0.6, "{alone:?} {engine:?}");
}
