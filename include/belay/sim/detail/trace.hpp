// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/trace.hpp
/// Trace: the history of a world as one number.
#pragma once

#include <cstdint>      // std::uint64_t
#include <string_view>  // std::string_view

#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>
#include <belay/sim/detail/recorder.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// The kind of a line of the history. Values are part of every hash: append, never renumber.
enum class Mark : std::uint8_t {
    function = 1,
    start = 2,
    kill = 3,
    pause = 4,
    resume = 5,
    dial = 6,
    send = 7,
    arrive = 8,
    accept = 9,
    refuse = 10,
    hang_up = 11,
    cut = 12,
    block = 13,
    unblock = 14,
    fault = 15,      // a scenario's fault begins; facts: its key
    fault_end = 16,  // and ends
    heal = 17,
    clock = 18,  // a wall clock is set
    exit = 19,   // a process ends itself; facts: its code
    // Only in records, and not in the hash.
    disk = 20,  // an operation of a disk; text: what it does
    lost = 21   // text: what a loss of power has taken from a disk
};

/// The host index of events that belong to no host.
inline constexpr std::uint32_t no_host = 0xFFFFFF;

/// Mixes the parts of a seed. The order of the parts counts.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
    return belay::detail::mix64(belay::detail::mix64(a) + 0x9E3779B97F4A7C15U * (b + 1));
}

/// Converts a name to a part of a seed.   Source: FNV-1a, 64 bits.
[[nodiscard]] constexpr std::uint64_t hash_of(std::string_view name) noexcept {
    std::uint64_t h = 0xCBF29CE484222325U;
    for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
    return h;
}

/// Hashes the events in their order. The hash is equal on every compiler, because it only reads
/// integers.
class Trace {
public:
    void note(Instant now, Mark mark, std::uint32_t host, std::uint64_t facts) noexcept {
        const auto time = static_cast<std::uint64_t>(now.time_since_epoch().count());
        const std::uint64_t what = std::uint64_t{host} << 8 | static_cast<std::uint64_t>(mark);
        hash_ = belay::detail::mix64(hash_ + time * 0x9E3779B97F4A7C15U);
        hash_ = belay::detail::mix64(hash_ + mix(what, facts));
    }
    [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }

private:
    std::uint64_t hash_ = 0x62656C6179U;
};

}}}  // namespace belay::sim::detail
