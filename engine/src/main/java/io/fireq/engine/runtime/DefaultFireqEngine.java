package io.fireq.engine.runtime;

import io.fireq.engine.api.BackendSelection;
import io.fireq.engine.api.CapacityException;
import io.fireq.engine.api.ChatTurn;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.EngineStats;
import io.fireq.engine.api.FireqEngine;
import io.fireq.engine.api.GenerationHandle;
import io.fireq.engine.api.GenerationListener;
import io.fireq.engine.api.GenerationRequest;
import io.fireq.engine.api.ModelInfo;
import io.fireq.engine.api.ToolSpec;
import io.fireq.engine.kv.KvCacheManager;
import io.fireq.engine.sampling.Sampler;
import io.fireq.engine.scheduler.Sequence;
import io.fireq.engine.tokenizer.StopSequences;
import io.fireq.engine.tokenizer.StreamingDetokenizer;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;

/** The engine's public face: checks requests and hands them to the {@link EngineLoop}. */
public final class DefaultFireqEngine implements FireqEngine {
    private final LoadedModel loaded;
    private final ModelInfo info;
    private final BackendSelection selection;
    private final int capacityTokens;
    private final EngineLoop loop;
    private final AtomicLong nextId = new AtomicLong(1);
    private final SplittableRandom seeds = new SplittableRandom();

    /**
     * Starts the engine's thread. The engine owns the model from here on.
     *
     * @param loaded    the model, its tokenizer and its backend
     * @param options   limits of batch, queue and cache
     * @param selection why this backend
     */
    public DefaultFireqEngine(LoadedModel loaded, EngineOptions options, BackendSelection selection) {
        this.loaded = loaded;
        this.info = loaded.info();
        this.selection = selection;
        KvCacheManager kvCache = new KvCacheManager(loaded.limits().nKvBlocks(), loaded.limits().kvBlockSize());
        this.capacityTokens = Math.min(info.maxModelLen(), kvCache.capacityTokens());
        this.loop = new EngineLoop(loaded, kvCache, options);
        loop.start();
    }

    @Override
    public ModelInfo model() {
        return info;
    }

    @Override
    public BackendSelection backend() {
        return selection;
    }

    @Override
    public EngineStats stats() {
        return loop.stats();
    }

    @Override
    public int[] encode(String text) {
        return loaded.tokenizer().encode(text);
    }

    @Override
    public int[] encodePrompt(String text) {
        return loaded.encodePrompt(text);
    }

    @Override
    public int[] encodeChat(List<ChatTurn> turns, List<ToolSpec> tools) {
        return loaded.chatTemplate().encode(turns, tools);
    }

    @Override
    public String decode(int[] tokens) {
        return loaded.tokenizer().decode(tokens);
    }

    @Override
    public GenerationHandle submit(GenerationRequest request, GenerationListener listener) {
        int[] prompt = request.promptTokens();
        for (int token : prompt) {
            if (token < 0 || token >= info.vocabSize()) {
                throw new IllegalArgumentException("Prompt token %d is not in the vocabulary of %,d tokens"
                        .formatted(token, info.vocabSize()));
            }
        }
        if (prompt.length + 1 > capacityTokens) {
            throw new CapacityException(CapacityException.Resource.CONTEXT,
                    ("Prompt has %,d tokens, but prompt and answer together may have %,d; shorten the prompt, or raise "
                            + "max-model-len (now %,d; KV cache %,d tokens) if the model allows it")
                            .formatted(prompt.length, capacityTokens, info.maxModelLen(),
                                    loop.stats().kvBlocksTotal() * loop.stats().kvBlockSize()));
        }
        int room = capacityTokens - prompt.length;
        int maxNewTokens = request.maxNewTokens() == 0 ? room : Math.min(request.maxNewTokens(), room);
        Sequence sequence = new Sequence(nextId.getAndIncrement(), prompt, prompt.length + maxNewTokens);
        Sampler sampler = new Sampler(request.sampling(), freshSeed(), prompt, info.vocabSize());
        CallbackLane lane = new CallbackLane(sequence.id());
        Generation generation = new Generation(request, listener, sequence, sampler,
                StreamingDetokenizer.forContinuation(loaded.tokenizer()), new StopSequences(request.stopSequences()),
                loaded::isEos, lane);
        loop.submit(generation);
        lane.start();
        return generation;
    }

    private long freshSeed() {
        synchronized (seeds) {
            return seeds.nextLong();
        }
    }

    @Override
    public void close() {
        loop.close();
    }
}
