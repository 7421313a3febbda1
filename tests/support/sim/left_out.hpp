// SPDX-License-Identifier: MIT
/// \file tests/support/sim/left_out.hpp
/// Explores a model with one field of its core's digest left out.
#pragma once

#include <algorithm>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <belay/sim/exhaust.hpp>

namespace belay_test {

/// Gives the fields of a core to a digest, except one.
struct LeftOut {
    int field = -1;

    template <class Core>
    void digest(const Core& core, belay::Instant now, belay::sim::Digest& d) const {
        int i = 0;
        core.each_field(now, Each{[&](std::string_view, auto value) {
                            if (i++ != field) d(value);
                        }});
    }
    template <class Core>
    static std::vector<std::string> fields(const Core& core) {
        std::vector<std::string> names;
        core.each_field(belay::Instant{}, Each{[&](std::string_view name, auto) {
                            names.push_back(name.empty()
                                                ? "call " + std::to_string(names.size() + 1)
                                                : std::string{name});
                        }});
        return names;
    }

private:
    /// Receives the fields of a core, which may pass their names.
    template <class F>
    struct Each {
        template <class T>
        void operator()(T value) {
            f({}, value);
        }
        template <class T>
        void operator()(const char* name, T value) {
            f(name, value);
        }
        F f;
    };
    template <class F>
    Each(F) -> Each<F>;
};

/// Returns whether an exploration has found that equal states behave differently.
inline bool finds_difference(const belay::sim::ExhaustReport& report) {
    return report.problem.find("differ in a step") != std::string::npos;
}

/// Returns a message for each field of `model.core` whose absence is not detected. `model.left_out`
/// is a LeftOut.
template <class Model>
std::string undetected(Model model, std::uint32_t depth, std::uint32_t rechecks = 30) {
    const belay::sim::ExhaustOptions options{
        .depth = depth, .recheck_percent = 100, .recheck_max = rechecks, .print = false};
    std::string out;
    const std::vector<std::string> names = LeftOut::fields(model.core);
    for (std::size_t i = 0; i < names.size(); ++i) {
        model.left_out.field = static_cast<int>(i);
        if (finds_difference(belay::sim::exhaust(options, model))) continue;
        out += names[i] +
               " of each_field makes no difference: let the model reach it, or do not give it. ";
    }
    return out;
}

using FieldNames = std::span<const std::string_view>;

/// Gives named fields to a digest, except those that are left out.
struct NamedFields {
    belay::sim::Digest& digest;
    FieldNames left_out{};
    std::set<std::string>* names = nullptr;  // collects the names

    template <class T>
    void operator()(std::string_view name, T value) {
        (*this)({}, name, value);
    }
    /// Passes a field of a part. Its name is "part.field".
    template <class T>
    void operator()(std::string_view part, std::string_view field, T value) {
        if (names != nullptr) names->insert(joined(part, field));
        if (left_out.empty() || !is_left_out(part, field)) digest(value);
    }

private:
    static std::string joined(std::string_view part, std::string_view field) {
        return (part.empty() ? "" : std::string{part} + '.') + std::string{field};
    }
    [[nodiscard]] bool is_left_out(std::string_view part, std::string_view field) const {
        return std::ranges::any_of(left_out, [&](std::string_view name) {
            return name.ends_with(field) && name == joined(part, field);
        });
    }
};

}  // namespace belay_test
