/** Where K and V of each sequence live: a pool of fixed-size KV blocks and a block table per sequence. */
package io.fireq.engine.kv;
