package io.fireq.spring;

import dev.langchain4j.model.TokenCountEstimator;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.FireqEngine;
import io.fireq.langchain4j.FireqChatModel;
import io.fireq.langchain4j.FireqStreamingChatModel;
import io.fireq.langchain4j.FireqTokenCountEstimator;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.context.annotation.Bean;

/**
 * One engine and the views of it. The engine is opened where {@code fireq.model} is set, and closed with the application;
 * the models exist where there is an engine, the application's own included. Every bean gives way to one of the
 * application's of the same interface.
 */
@AutoConfiguration
@EnableConfigurationProperties(FireqProperties.class)
public final class FireqAutoConfiguration {
    FireqAutoConfiguration() {}

    @Bean(destroyMethod = "close")
    @ConditionalOnProperty(FireqProperties.PREFIX + ".model")
    @ConditionalOnMissingBean(FireqEngine.class)
    FireqEngine fireqEngine(FireqProperties properties) {
        return FireqEngines.open(properties.toEngineOptions());
    }

    @Bean
    @ConditionalOnBean(FireqEngine.class)
    @ConditionalOnMissingBean(ChatModel.class)
    FireqChatModel fireqChatModel(FireqEngine engine, FireqProperties properties,
            ObjectProvider<ChatModelListener> listeners) {
        return FireqChatModel.builder()
                .engine(engine)
                .defaultRequestParameters(properties.generation().toRequestParameters())
                .listeners(listeners.orderedStream().toList())
                .build();
    }

    @Bean
    @ConditionalOnBean(FireqEngine.class)
    @ConditionalOnMissingBean(StreamingChatModel.class)
    FireqStreamingChatModel fireqStreamingChatModel(FireqEngine engine, FireqProperties properties,
            ObjectProvider<ChatModelListener> listeners) {
        return FireqStreamingChatModel.builder()
                .engine(engine)
                .defaultRequestParameters(properties.generation().toRequestParameters())
                .listeners(listeners.orderedStream().toList())
                .build();
    }

    @Bean
    @ConditionalOnBean(FireqEngine.class)
    @ConditionalOnMissingBean(TokenCountEstimator.class)
    FireqTokenCountEstimator fireqTokenCountEstimator(FireqEngine engine) {
        return new FireqTokenCountEstimator(engine);
    }
}
