//! The same over standard input and output: each line is a message, which the engine answers.

use debridfs_control::Client;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

use super::{RpcError, SILENT};

/// Passes each line of `input` on to the engine, and its answers to `output`, until `input` ends. While no engine
/// answers, each request is answered with an error.
///
/// # Errors
/// `input` cannot be read, or `output` not be written.
pub async fn serve_stdio(
    client: &Client,
    input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let mut lines = input.lines();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let answer = match client.pass_on("/mcp", line.clone().into()).await {
            Ok(answer) if answer.is_empty() => continue,
            Ok(answer) => answer,
            Err(error) => {
                let request: Value = serde_json::from_str(&line).unwrap_or_default();
                let Some(id) = request.get("id").filter(|id| !id.is_null()) else {
                    continue;
                };
                let answer = RpcError::new(SILENT, error).answer(id.clone());
                answer.to_string().into()
            }
        };
        output.write_all(&answer).await?;
        output.write_all(b"\n").await?;
        output.flush().await?;
    }
    Ok(())
}
