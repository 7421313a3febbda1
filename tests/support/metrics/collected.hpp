// SPDX-License-Identifier: MIT
// The values that visit_metrics passes for a part, by name, and a check that no member is missing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include <belay/metrics/page.hpp>

#include "support/catch.hpp"
#include "support/metrics/exposition_parser.hpp"

namespace belay_test {

/// The values that a visit passes, by name ("breaker.state.open"). It also checks that the text of
/// the part can be parsed in both formats.
class Collected : private belay::metrics::PageOptions {  // so that ADL finds each visit_metrics
public:
    template <class Part>
    explicit Collected(const Part& part) {
        visit_metrics(part, *this);
        for (const auto one :
             {belay::metrics::Format::prometheus, belay::metrics::Format::open_metrics}) {
            belay::metrics::Page page{{.format = one}};
            CHECK(page.add("one", part));
            std::string text;
            belay::to_prometheus(text, page);
            INFO(text);
            const Exposition read = parse_exposition(text, one);
            CHECK(read.fault == "");
            CHECK(read.samples.size() == page.samples());
        }
    }

    void operator()(const belay::metrics::Metric& metric) {
        std::string name = std::string{metric.part} + "." + metric.name;
        if (*metric.key != '\0') name += "." + std::string{metric.label};
        CHECK(std::string{metric.help}.size() > 10);
        CHECK(values_.emplace(std::move(name), metric.value).second);
    }

    [[nodiscard]] std::uint64_t operator[](const std::string& name) const {
        INFO(name);
        REQUIRE(values_.count(name) == 1);
        return values_.at(name);
    }
    [[nodiscard]] bool has(const std::string& name) const { return values_.count(name) == 1; }
    [[nodiscard]] bool has_value(std::uint64_t value) const {
        return std::any_of(values_.begin(), values_.end(),
                           [value](const auto& one) { return one.second == value; });
    }

private:
    std::map<std::string, std::uint64_t> values_;
};

/// Sets each member of a struct of numbers to its own value, and checks that a visit passes all of
/// these. A structured binding in the caller names the members, so that it does not compile when a
/// member is added.
template <class Part, class... Members>
void check_each_member_visited(const Part& part, Members&... members) {
    std::uint64_t value = 1000;
    ((members = static_cast<Members>(++value)), ...);
    const Collected collected{part};
    for (std::uint64_t one = 1001; one <= value; ++one) {
        INFO("member " << one - 1000);
        CHECK(collected.has_value(one));
    }
}

}  // namespace belay_test
