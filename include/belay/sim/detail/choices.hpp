// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/choices.hpp
/// Choices: random choices by name, so that a choice does not depend on the ones elsewhere.
#pragma once

#include <cstdint>      // std::uint64_t
#include <map>          // std::map
#include <string_view>  // std::string_view

#include <belay/sim/detail/trace.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// The choices of one world. The n-th choice of a tag depends on the seed, the place, the tag and n
/// only.
class Choices {
public:
    explicit Choices(Seed seed) noexcept : seed_{mix(seed.value, hash_of("choices"))} {}

    /// Returns a number from 0 to `n` - 1.   Pre: n > 0.
    [[nodiscard]] std::uint64_t choose(std::uint64_t place, std::string_view tag, std::uint64_t n) {
        BELAY_PRECONDITION(n > 0, "choose: there must be at least one alternative");
        const std::uint64_t key = mix(mix(seed_, place), hash_of(tag));
        Random bits{Seed{mix(key, made_[key]++)}};
        return uniform_upto(bits, n - 1);
    }
    /// Returns whether rare code should run: a place in the source is switched on in a quarter of
    /// the worlds, and then fires in a quarter of its passes.
    [[nodiscard]] bool buggify(std::uint64_t place, const char* file, std::uint32_t line) {
        if (healed_) return false;
        std::string_view name{file};
        name.remove_prefix(name.find_last_of("/\\") + 1);  // the same in every directory
        const std::uint64_t section = mix(hash_of(name), line);
        if (mix(mix(seed_, hash_of("buggify")), section) % 4 != 0) return false;
        return choose(mix(place, section), "buggify", 4) == 0;
    }
    void heal() noexcept { healed_ = true; }

private:
    const std::uint64_t seed_;
    std::map<std::uint64_t, std::uint64_t> made_;
    bool healed_ = false;
};

}}}  // namespace belay::sim::detail
