package io.fireq;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideOutsideOfPackages;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchRule;
import org.junit.jupiter.api.Test;

/** The house rules that a compiler does not know. */
class ArchitectureTest {
    private static final String ENGINE = "io.fireq.engine";
    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages(ENGINE, "io.fireq.cli");

    @Test
    void only_the_kernels_module_touches_the_cuda_bindings() {
        check(noClasses().should().dependOnClassesThat().resideInAPackage("org.bytedeco..")
                .because("a host without a GPU must not load CUDA classes"));
    }

    @Test
    void the_engine_knows_no_framework() {
        check(noClasses().should().dependOnClassesThat().resideInAnyPackage("dev.langchain4j..",
                "org.springframework..").because("the engine is usable without either"));
    }

    @Test
    void only_the_cuda_backend_sees_the_kernels() {
        check(noClasses().that().resideOutsideOfPackage(ENGINE + ".backend.cuda..")
                .should().dependOnClassesThat().resideInAPackage("io.fireq.kernels..")
                .because("everything else runs on any machine"));
    }

    @Test
    void scheduler_and_cache_know_no_model() {
        check(noClasses().that().resideInAnyPackage(ENGINE + ".scheduler..", ENGINE + ".kv..")
                .should().dependOnClassesThat().resideInAnyPackage(ENGINE + ".model..", ENGINE + ".backend..",
                        ENGINE + ".tokenizer..", ENGINE + ".weights..", ENGINE + ".runtime..")
                .because("they are tested without a device"));
    }

    @Test
    void packages_are_free_of_cycles() {
        check(slices().matching("io.fireq.(**)").should().beFreeOfCycles());
    }

    @Test
    void no_assertion_guards_what_comes_from_files() {
        check(noClasses().that().resideInAnyPackage(ENGINE + ".weights..", ENGINE + ".tokenizer..", ENGINE + ".chat..",
                ENGINE + ".json..", ENGINE + ".model..")
                .should().dependOnClassesThat().areAssignableTo(AssertionError.class)
                .because("assertions are off in production, and files are not to be trusted"));
    }

    @Test
    void there_is_no_hidden_randomness() {
        check(noClasses().should().callMethod(Math.class, "random")
                .orShould().dependOnClassesThat().haveFullyQualifiedName("java.util.concurrent.ThreadLocalRandom")
                .because("same seed and request must give the same tokens"));
    }

    @Test
    void static_fields_are_final() {
        check(fields().that().areStatic().should().beFinal().because("engines must not share state"));
    }

    @Test
    void only_the_command_line_prints() {
        check(noClasses().that().resideOutsideOfPackage("io.fireq.cli..")
                .should().accessField(System.class, "out").orShould().accessField(System.class, "err")
                .because("a library logs"));
    }

    @Test
    void nothing_that_serves_imports_the_quantizer() {
        check(noClasses().that(resideInAnyPackage(ENGINE + ".."))
                .and(resideOutsideOfPackages(ENGINE, ENGINE + ".quant.."))
                .should().dependOnClassesThat().resideInAPackage(ENGINE + ".quant..")
                .because("quantization happens before serving"));
    }

    @Test
    void the_api_is_a_leaf() {
        check(noClasses().that().resideInAPackage(ENGINE + ".api..")
                .should().dependOnClassesThat(resideInAnyPackage("io.fireq..")
                        .and(resideOutsideOfPackages(ENGINE + ".api..")))
                .because("other modules see nothing else"));
    }

    private static void check(ArchRule rule) {
        rule.check(CLASSES);
    }
}
