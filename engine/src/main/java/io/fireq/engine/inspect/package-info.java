/** Looking into a model: the largest activation of each channel, and a picture of it. */
package io.fireq.engine.inspect;
