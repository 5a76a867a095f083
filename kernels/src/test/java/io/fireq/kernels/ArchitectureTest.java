package io.fireq.kernels;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

@AnalyzeClasses(packages = "io.fireq.kernels", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {

    @ArchTest
    static final ArchRule CUDA_IS_TOUCHED_IN_TWO_PACKAGES = noClasses()
            .that().resideOutsideOfPackages("io.fireq.kernels.cuda", "io.fireq.kernels.jit")
            .should().dependOnClassesThat().resideInAPackage("org.bytedeco..")
            .because("everything else goes through checked wrappers, and a host without a driver must not load CUDA");

    @ArchTest
    static final ArchRule KERNELS_IS_A_LEAF = noClasses().should()
            .dependOnClassesThat().resideInAnyPackage("io.fireq.engine..", "dev.langchain4j..", "org.springframework..")
            .because("the kernels are a plain GPU library");

    @ArchTest
    static final ArchRule NOTHING_NEEDS_THE_COMPILER_AT_RUN_TIME = noClasses()
            .that().resideOutsideOfPackages("io.fireq.kernels.build", "io.fireq.kernels.jit")
            .should().dependOnClassesThat().resideInAnyPackage("io.fireq.kernels.build", "io.fireq.kernels.jit")
            .because("NVRTC is not on a user's class path");

    @ArchTest
    static final ArchRule PACKAGES_FORM_NO_CYCLES = slices().matching("io.fireq.(**)").should().beFreeOfCycles()
            .because("each package is understood with only those below it");

    @ArchTest
    static final ArchRule STATICS_ARE_FINAL = fields().that().areStatic().should().beFinal()
            .because("state belongs to objects that someone owns");

    @ArchTest
    static final ArchRule ONLY_THE_BUILD_PRINTS = noClasses().that().resideOutsideOfPackage("io.fireq.kernels.build")
            .should().accessField(System.class, "out").orShould().accessField(System.class, "err")
            .because("a library's output goes to its caller");
}
