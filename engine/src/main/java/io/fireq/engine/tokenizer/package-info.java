/**
 * Text to token ids and back: Hugging Face {@code tokenizer.json} (or a SentencePiece {@code tokenizer.model}), exact
 * bytes per token, streaming text and stop strings.
 */
package io.fireq.engine.tokenizer;
