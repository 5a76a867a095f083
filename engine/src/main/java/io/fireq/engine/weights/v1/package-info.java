/** Version 1 of the FireQ checkpoint format: names, shapes and config entries. Files are the business of the parent. */
package io.fireq.engine.weights.v1;
