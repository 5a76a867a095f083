/** Chats to prompts by the model's own Jinja template, and tool calls out of answers. */
package io.fireq.engine.chat;
