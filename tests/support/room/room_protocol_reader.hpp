// SPDX-License-Identifier: MIT
/// \file tests/support/room/room_protocol_reader.hpp
/// RoomProtocolReader: reads frames as a room does, and checks what the protocol returns.
#pragma once

#include <algorithm>     // std::equal
#include <cstdint>       // std::uint64_t
#include <functional>    // std::less
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/random.hpp>
#include <belay/room/detail/connection_core.hpp>
#include <belay/room/room_protocol_like.hpp>
#include "support/room/room_protocol_rule.hpp"

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The first fault of a protocol, if any.
struct RoomProtocolVerdict {
    using Rule = check::RoomProtocolRule;

    /// The bytes that later calls concern.
    void concern(BytesView bytes) {
        if (!fault) at = to_bytes(bytes);
    }
    void expect(bool kept, Rule rule) {
        if (!kept && !fault) fault = check::RoomProtocolFault{rule, at};
    }
    /// Calls `f`, which calls the protocol.
    template <class F>
    void attempt(F&& f) {
#if defined(__cpp_exceptions)
        try {
            f();
        } catch (...) {
            expect(false, Rule::throws_nothing);
        }
#else
        f();
#endif
    }

    std::optional<check::RoomProtocolFault> fault{};
    Bytes at{};
};

/// Bytes between others that a protocol must not read.
class GuardedBytes {
public:
    GuardedBytes(BytesView guard, BytesView bytes) : guard_{guard.size()}, size_{bytes.size()} {
        all_.reserve(2 * guard.size() + bytes.size());
        for (const BytesView part : {guard, bytes, guard})
            all_.insert(all_.end(), part.begin(), part.end());
    }

    [[nodiscard]] BytesView view() const noexcept { return BytesView{all_}.subspan(guard_, size_); }
    /// Whether a view is inside of the first `size` bytes, or outside of all bytes and guards.
    [[nodiscard]] bool allows(BytesView part, std::size_t size) const noexcept {
        const std::less<const std::byte*> before;
        const BytesView own = view().first(size);
        if (part.empty()) return true;
        const std::byte* const end = part.data() + part.size();
        if (!before(part.data(), all_.data() + all_.size()) || !before(all_.data(), end))
            return true;
        return !before(part.data(), own.data()) && !before(own.data() + own.size(), end);
    }

private:
    Bytes all_{};
    std::size_t guard_;
    std::size_t size_;
};

/// The results of a protocol for one frame.
struct RoomProtocolReading {
    bool rejected = false;
    std::error_code error{};
    Bytes address{};
    std::string room_id{};
    part::RoomMessage::Kind kind{};
    Bytes payload{};
    std::string version{};

    [[nodiscard]] bool operator==(const RoomProtocolReading&) const = default;
};

/// Reads frames by a protocol, and checks the rules of reading.
template <class P>
class RoomProtocolReader {
    using Kind = part::RoomMessage::Kind;
    using Reading = RoomProtocolReading;
    using Rule = check::RoomProtocolRule;

public:
    /// `allocated` may be null.
    RoomProtocolReader(const P& protocol, RoomProtocolVerdict& verdict, Random& bits,
                       std::uint64_t (*allocated)())
        : protocol_{protocol}, verdict_{verdict}, allocated_{allocated} {
        for (Bytes* const guard : {&guard_, &other_guard_}) {
            guard->resize(4096);
            for (std::byte& b : *guard) b = static_cast<std::byte>(bits());
        }
    }

    [[nodiscard]] BytesView guard() const noexcept { return guard_; }
    [[nodiscard]] BytesView other_guard() const noexcept { return other_guard_; }

    /// Reads a frame several times, at several places. Calls `meanwhile` between the first reading
    /// and the last use of what it returned.
    template <class F>
    [[nodiscard]] Reading read(BytesView frame, F&& meanwhile) {
        verdict_.concern(frame);
        const GuardedBytes here{guard_, frame};
        const Reading first = read_at(here, meanwhile);
        for (int again = 0; again < 2; ++again)
            verdict_.expect(read_at(here, [] {}) == first, Rule::remembers_nothing);
        verdict_.expect(read_at({other_guard_, frame}, [] {}) == first, Rule::reads_only_the_frame);
        // Sanitizers notice each byte that is read outside of this one.
        if (!verdict_.fault)
            verdict_.expect(read_at({{}, frame}, [] {}) == first, Rule::reads_only_the_frame);
        if (first.rejected) {
            const int code = room_close_code(first.error, RoomCloseCodes{});
            verdict_.expect(code != 1000 && code != 1001 && code != 1013,
                            Rule::errors_end_the_client);
        } else {
            verdict_.expect(
                is_of_clients(first.kind) && (first.version.empty() || first.kind == Kind::token),
                Rule::reads_kinds_of_clients);
        }
        return first;
    }

private:
    [[nodiscard]] static bool is_of_clients(Kind kind) noexcept {
        switch (kind) {
            case Kind::nothing:
            case Kind::state_vector:
            case Kind::state:
            case Kind::update:
            case Kind::awareness:
            case Kind::query_awareness:
            case Kind::denied:
            case Kind::stateless:
                return true;
            case Kind::token:
            case Kind::close:
            case Kind::ping:
            case Kind::pong:
                return AddressesFrames<P>;
            case Kind::granted:
            case Kind::rejected:
            case Kind::stored:
                break;
        }
        return false;
    }

    template <class F>
    [[nodiscard]] Reading read_at(const GuardedBytes& frame, F&& meanwhile) {
        Reading got;
        verdict_.attempt([&] {
            const std::uint64_t before = allocated_bytes();
            if constexpr (AddressesFrames<P>) {
                const auto address = protocol_.address(frame.view());
                count_allocated(before, frame);
                if (!address.has_value()) return reject(got, address.error());
                if (find_room(frame, *address, got))
                    read_body(frame, frame.view().subspan(got.address.size()), got, meanwhile);
            } else {
                read_body(frame, frame.view(), got, meanwhile);
            }
        });
        return got;
    }
    /// Returns whether the address is sound.
    [[nodiscard]] bool find_room(const GuardedBytes& frame, BytesView address, Reading& got) {
        const BytesView whole = frame.view();
        if (address.size() > whole.size() ||
            !std::equal(address.begin(), address.end(), whole.begin())) {
            verdict_.expect(false, Rule::address_begins_the_frame);
            return false;
        }
        got.address = to_bytes(address);
        // A room never asks for the id of the connection's own frames.
        if (address.empty()) return true;
        const std::uint64_t before = allocated_bytes();
        const std::string_view id = protocol_.room_id(address);
        count_allocated(before, frame);
        const bool valid = frame.allows(as_bytes(id), address.size());
        verdict_.expect(valid, Rule::views_stay_valid);
        if (valid) got.room_id = id;
        return valid;
    }
    template <class F>
    void read_body(const GuardedBytes& frame, BytesView body, Reading& got, F&& meanwhile) {
        const std::uint64_t before = allocated_bytes();
        const auto read = protocol_.read(body);
        count_allocated(before, frame);
        if (!read.has_value()) return reject(got, read.error());
        const part::RoomMessage& message = *read;
        got.kind = message.kind;
        const std::size_t size = frame.view().size();
        const bool valid =
            frame.allows(message.payload, size) && frame.allows(as_bytes(message.version), size);
        verdict_.expect(valid, Rule::views_stay_valid);
        const bool fits = message.payload.size() <= size &&
                          message.version.size() <= size - message.payload.size();
        verdict_.expect(fits, Rule::payload_fits_into_the_frame);
        if (!valid || !fits) return;
        got.payload = to_bytes(message.payload);
        got.version = message.version;
        meanwhile();
        verdict_.expect(to_bytes(message.payload) == got.payload && message.version == got.version,
                        Rule::views_stay_valid);
    }
    static void reject(Reading& got, const std::error_code& error) {
        got.rejected = true;
        got.error = error;
    }
    [[nodiscard]] std::uint64_t allocated_bytes() const {
        return allocated_ != nullptr ? allocated_() : 0;
    }
    void count_allocated(std::uint64_t before, const GuardedBytes& frame) {
        verdict_.expect(allocated_bytes() - before <= 64 * frame.view().size() + 4096,
                        Rule::allocates_little);
    }

    const P& protocol_;
    RoomProtocolVerdict& verdict_;
    std::uint64_t (*allocated_)();
    Bytes guard_{};
    Bytes other_guard_{};
};

}}}  // namespace belay::detail
