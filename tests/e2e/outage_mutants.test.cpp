// SPDX-License-Identifier: MIT
// Goal: the demo detects bugs in belay itself. Method: the demo over headers with faults of
// scripts/mutants.py, whose programs ctest passes in the environment.
#include <cstdlib>

#include "e2e/planted_bug.hpp"

namespace {

std::string program_in(const char* variable) {
    const char* const path = std::getenv(variable);
    INFO(variable << " must be the path of a program, as ctest sets it");
    REQUIRE(path != nullptr);
    return path;
}

}  // namespace

TEST_CASE("The outage demo reports a skipped acknowledgement as duplicated lines",
          "[e2e][outage_mutants][fault]") {
    // An acknowledgement is skipped at the resume, and repetitions are not detected.
    e2e::check_planted_bug({program_in("OUTAGE_SKIP_ACK_BINARY"),
                            "skip-ack",
                            {"--kills", "0", "--freezes", "2", "--client-kills", "0"},
                            "duplicated"});
}

TEST_CASE("The outage demo reports a server without a fence as duplicated lines",
          "[e2e][outage_mutants][fault]") {
    // The frozen server still serves its old connection next to the new one. The rate makes nearly
    // each line a message, and they are long, so that several reads of the old connection are left
    // when the new one begins.
    e2e::check_planted_bug(
        {program_in("OUTAGE_NO_FENCE_BINARY"),
         "no-fence",
         {"--kills", "0", "--freezes", "2", "--client-kills", "0", "--rate", "900"},
         "duplicated",
         4000});
}
