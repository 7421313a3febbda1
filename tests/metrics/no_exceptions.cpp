// SPDX-License-Identifier: MIT
// Goal: metrics/ works under -fno-exceptions -fno-rtti. Method: each part once, without a framework.
#include <belay/metrics.hpp>

using namespace belay;

namespace {

struct Counted {
    std::uint64_t calls = 0;
};
template <class Visitor>
void visit_metrics(const Counted& counted, Visitor&& visitor) {
    visitor(
        metrics::Metric{.part = "calls", .name = "made", .help = "Calls.", .value = counted.calls});
}

}  // namespace

int main() {
    metrics::Page page{{.samples_max = 1}};
    if (!page.add("a", Counted{3}) || page.add("b", Counted{}) || page.dropped() != 1) return 1;
    std::string text;
    to_prometheus(text, page);
    return text.find("belay_calls_made_total{calls=\"a\"} 3\n") != text.npos ? 0 : 1;
}
