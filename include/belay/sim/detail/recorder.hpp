// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/recorder.hpp
/// Recorder: the last lines of a world's history, for people.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <string>   // std::string
#include <utility>  // std::move
#include <vector>   // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/detail/hex.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

enum class Mark : std::uint8_t;

/// Returns the front of bytes as a quoted text; empty if less than three quarters of them are text.
[[nodiscard]] inline std::string excerpt(BytesView bytes) {
    constexpr std::size_t most = 40;
    std::string out = "\"";
    std::size_t others = 0;
    for (const std::byte b : bytes.first(bytes.size() < most ? bytes.size() : most)) {
        const char c = static_cast<char>(b);
        if (c == '"' || c == '\\') out += '\\';
        if (c >= ' ' && c <= '~') {
            out += c;
        } else if (c == '\n' || c == '\r' || c == '\t') {
            out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
        } else {
            ++others;
            belay::detail::append_hex(out += "\\x", b);
        }
    }
    if (bytes.empty() || others > (bytes.size() < most ? bytes.size() : most) / 4) return {};
    return out + (bytes.size() > most ? "...\"" : "\"");
}

/// The other end of a connection, and the details of a record.
struct OtherEnd {
    std::uint32_t host;
    std::uint32_t connection = 0;  // counted by the host that dialled, from 1; 0: none
    bool dialled = false;          // by the other end
    std::string text{};            // bytes as text, if they are text
};

/// One line of the history.
struct Record {
    Instant time{};
    std::uint64_t facts = 0;
    std::uint64_t event = 0;  // its number, from 1; outside of an event, that of the last one
    std::uint32_t host = 0;
    std::uint32_t peer = 0;        // the other end of a connection
    std::uint32_t connection = 0;  // see OtherEnd
    Mark mark{};
    bool dialled_by_peer = false;
    std::string text{};  // see OtherEnd and Mark

    friend bool operator==(const Record&, const Record&) = default;
};

/// A ring of the last records.   Allocates: at most `capacity` records, as they come.
class Recorder {
public:
    Recorder() noexcept = default;
    explicit Recorder(std::size_t capacity) noexcept : capacity_{capacity} {}

    void add(Record r) noexcept {
        if (stopped_) return;
        if (ring_.size() < capacity_) {
            ring_.push_back(std::move(r));
        } else {
            ring_[static_cast<std::size_t>(total_ % capacity_)] = std::move(r);
        }
        ++total_;
    }
    /// Keeps what is there, for ever.
    void stop() noexcept { stopped_ = true; }

    [[nodiscard]] bool on() const noexcept { return capacity_ != 0; }
    /// Returns the last lines, in their order.
    [[nodiscard]] std::vector<Record> records() const {
        if (total_ <= ring_.size()) return ring_;
        const auto first = static_cast<std::ptrdiff_t>(total_ % capacity_);
        std::vector<Record> out{ring_.begin() + first, ring_.end()};
        out.insert(out.end(), ring_.begin(), ring_.begin() + first);
        return out;
    }

private:
    std::size_t capacity_ = 0;
    std::uint64_t total_ = 0;
    std::vector<Record> ring_;
    bool stopped_ = false;
};

}}}  // namespace belay::sim::detail
