// SPDX-License-Identifier: MIT
// A planted bug that the outage demo must report.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/catch.hpp"

#include "e2e/demo_fixture.hpp"

namespace e2e {

struct PlantedBug {
    std::string program;
    const char* name;
    std::vector<std::string> options;
    const char* seen;
    std::size_t padding = 0;  // bytes that each line has in addition
};

/// Each line with so many more bytes.
inline std::string padded(const std::string& text, std::size_t bytes) {
    std::string longer;
    for (const char c : text) {
        if (c == '\n') longer.append(bytes, 'y');
        longer += c;
    }
    return longer;
}

/// Whether a bug shows may depend on the order of the processes, so it has six runs.
inline void check_planted_bug(const PlantedBug& bug) {
    for (int seed = 7;; ++seed) {
        const TestDirectory w;
        write(w / "input", padded(sample_text(1500), bug.padding));
        ::setenv("OUTAGE_PLANT", bug.name, 1);
        std::vector<std::string> words{bug.program, "--file", w / "input",
                                       "--dir",     w / "d",  "--rate",
                                       "2000",      "--seed", std::to_string(seed)};
        words.insert(words.end(), bug.options.begin(), bug.options.end());
        Process demo{words};
        const int code = demo.wait();
        ::unsetenv("OUTAGE_PLANT");
        if (code == 0 && seed < 12) continue;
        INFO(bug.name << ":\n" << demo.text());
        CHECK(code == 1);
        CHECK(contains(demo.text(), "verdict: WRONG: 1500 lines, "));
        CHECK(contains(demo.text(), bug.seen));
        CHECK_FALSE(contains(demo.text(), "precondition violated"));
        CHECK_FALSE(contains(demo.text(), "1500 lines, 0 lost, 0 duplicated, 0 out of order"));
        CHECK_FALSE(ledger_equals(w / "d/ledger.txt", read(w / "input")));
        break;
    }
}

}  // namespace e2e
