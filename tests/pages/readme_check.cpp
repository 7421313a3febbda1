// SPDX-License-Identifier: MIT
// The policy of README's retry, for many callers of a server in trouble: they send at most 1.3 times
// the usual load.
#include <cstdio>

#define main page_main
#include BELAY_README_PAGE
#undef main

#include <belay/policy/stability_check.hpp>

int main() {
    const check::StabilityReport report = check::stability(policy);
    if (report.broken()) std::printf("%s\n", to_string(*report.broken()));
    std::printf("in the outage, at most %d per thousand of the usual load\n",
                static_cast<int>(report.outage_peak_per_thousand));
    return report.broken() || report.outage_peak_per_thousand > 1300 ? 1 : 0;
}
