//! A stand-in for llm-service: a small server of the test's own that answers every question alike, at once or when
//! it is told to. It ends with the process.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::app::TestApp;

/// What the model was asked: the request's id and the body.
pub type Asked = (String, Value);

/// A running stand-in.
pub struct Model {
    address: SocketAddr,
    questions: mpsc::Receiver<Asked>,
    answers: Arc<Semaphore>,
}

impl Model {
    /// Answers with `status` and `body`.
    pub fn start(status: u16, body: Value) -> Self {
        let model = Self::slow(status, body);
        model.answer(Semaphore::MAX_PERMITS);
        model
    }

    /// The same, but each answer waits for [`Self::answer`].
    pub fn slow(status: u16, body: Value) -> Self {
        let (tell, told) = mpsc::channel();
        let (asked, questions) = mpsc::channel();
        let answers = Arc::new(Semaphore::new(0));
        let allowed = Arc::clone(&answers);
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    let (asked, body, allowed) =
                        (asked.clone(), body.clone(), Arc::clone(&allowed));
                    let answer = move |req: HttpRequest, question: web::Json<Value>| {
                        let id = req
                            .headers()
                            .get("x-request-id")
                            .and_then(|id| id.to_str().ok());
                        let _nobody_asks =
                            asked.send((id.unwrap_or_default().to_owned(), question.into_inner()));
                        let mut response = HttpResponse::build(status.try_into().unwrap());
                        if status == 503 {
                            response.insert_header(("retry-after", "7"));
                        }
                        let (body, allowed) = (body.clone(), Arc::clone(&allowed));
                        async move {
                            allowed.acquire().await.unwrap().forget();
                            response.json(&body)
                        }
                    };
                    App::new()
                        .route("/v1/generate", web::post().to(answer.clone()))
                        .route("/v1/analyze", web::post().to(answer))
                });
                let server = server
                    .workers(1)
                    .disable_signals()
                    .bind(("127.0.0.1", 0))
                    .unwrap();
                tell.send(server.addrs()[0]).unwrap();
                server.run().await.unwrap();
            });
        });
        Self {
            address: told.recv().unwrap(),
            questions,
            answers,
        }
    }

    /// Lets so many answers go.
    pub fn answer(&self, count: usize) {
        self.answers.add_permits(count);
    }

    /// The next question, once it is there.
    pub fn question(&self) -> Asked {
        self.questions.recv().unwrap()
    }

    /// Whether there has been a question that nobody has looked at.
    pub fn was_asked(&self) -> bool {
        self.questions.try_recv().is_ok()
    }

    /// So many replicas that ask this one.
    pub async fn app(&self, replicas: usize) -> TestApp {
        let url = format!("http://{}", self.address).parse().unwrap();
        TestApp::with(replicas, |config| config.llm.llm_url = url).await
    }
}
