/** From logits to a token: one small class per idea, all pure functions of request, seed and position. */
package io.fireq.engine.sampling;
