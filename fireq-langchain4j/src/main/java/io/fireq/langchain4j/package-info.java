/** LangChain4j's chat models over a {@link io.fireq.engine.api.FireqEngine}. Every model is a thin view: one engine serves many. */
package io.fireq.langchain4j;
