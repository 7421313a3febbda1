// SPDX-License-Identifier: MIT
/// \file tests/support/backoff/wait_samples.hpp
/// The statistics of many waits: their ends, their mean, and how many lie on an end.
#pragma once

#include <array>
#include <cstdint>

#include <belay/backoff/backoff.hpp>

namespace belay_test {

/// Numbers of attempts at which shifts, powers and counters have broken in other libraries.
inline constexpr std::array<std::uint64_t, 26> awkward_attempts{0,
                                                                1,
                                                                2,
                                                                3,
                                                                30,
                                                                31,
                                                                32,
                                                                33,
                                                                34,
                                                                62,
                                                                63,
                                                                64,
                                                                65,
                                                                66,
                                                                67,
                                                                68,
                                                                127,
                                                                128,
                                                                1023,
                                                                1024,
                                                                1025,
                                                                2147483647U,
                                                                4294967295U,
                                                                4294967296U,
                                                                ~std::uint64_t{0} - 1,
                                                                ~std::uint64_t{0}};

inline constexpr belay::Duration a_year = std::chrono::hours{24 * 365};

struct WaitSamples {
    belay::Duration least = belay::forever;
    belay::Duration most{};
    double mean = 0;
    /// Draws that equal the shortest or the longest possible wait.
    int on_floor = 0;
    int on_top = 0;
};

/// `draws` times the wait after `failures` others.
template <class Backoff>
WaitSamples wait_samples(const Backoff& backoff, int failures, int draws, std::uint64_t seed = 11) {
    belay::Random bits{belay::Seed{seed}};
    const auto n = static_cast<std::uint64_t>(failures);
    WaitSamples observed;
    for (int i = 0; i < draws; ++i) {
        Backoff fresh = backoff;
        for (int k = 0; k < failures; ++k) static_cast<void>(fresh.next(bits));
        const belay::Duration wait = fresh.next(bits);
        if (wait < observed.least) observed.least = wait;
        if (wait > observed.most) observed.most = wait;
        observed.mean += static_cast<double>(wait.count()) / draws;
        if (wait == backoff.min_delay(n)) ++observed.on_floor;
        if (wait == backoff.max_delay(n)) ++observed.on_top;
    }
    return observed;
}

}  // namespace belay_test
