package io.fireq.kernels.catalog;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;

class CubinIndexTest {

    @Test
    void reads_what_it_writes() {
        KernelInfo kernel = new KernelInfo("b-tile64", "_Z1bI6Config", "00ff", 64, 8, 16, 24, 1024);
        KernelInfo other = new KernelInfo("a", "_Z1a", "1122", 32, 0, 0, 0, 0);
        CubinIndex index = CubinIndex.parse("test", new CubinIndex(List.of(kernel, other)).format());
        assertThat(index.kernels()).containsExactly(other, kernel);
        assertThat(index.find("b-tile64")).contains(kernel);
        assertThat(index.find("c")).isEmpty();
    }

    @Test
    void refuses_another_version_and_a_broken_line() {
        assertThatThrownBy(() -> CubinIndex.parse("x.tsv", "fireq-cubins 0 sm_90a\n"))
                .hasMessageContaining("x.tsv").hasMessageContaining("starts with 'fireq-cubins 0 sm_90a'");
        assertThatThrownBy(() -> CubinIndex.parse("x.tsv", "fireq-cubins 1 sm_90a\na\tb\n"))
                .hasMessageContaining("has 2 fields, required 8");
    }
}
