// SPDX-License-Identifier: MIT
/// \file tests/support/room/room_protocol_checker.hpp
/// RoomProtocolChecker: a protocol, and the document and the clients of a room that uses it.
#pragma once

#include <algorithm>    // std::equal, std::find, std::min
#include <concepts>     // std::same_as
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <optional>     // std::optional
#include <span>         // std::span
#include <string_view>  // std::string_view
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::declval, std::move
#include <vector>       // std::vector

#include <belay/room/authorizer_like.hpp>
#include <belay/room/detail/room_awareness.hpp>
#include <belay/room/document_check.hpp>
#include "support/room/mutated_frame.hpp"
#include "support/room/room_protocol_reader.hpp"

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The reader of a client whose frames have the format of the server's.
struct SameFormat {};

/// The two objects of a protocol, of which one was moved, as a server moves it into a connection.
template <class Make>
struct RoomProtocolPair {
    using Protocol = std::remove_cvref_t<decltype(std::declval<Make&>()())>;

    explicit RoomProtocolPair(Make& make) : first(make()), second(moved(make())) {}

    Protocol first;
    Protocol second;

private:
    [[nodiscard]] static Protocol moved(Protocol protocol) { return Protocol(std::move(protocol)); }
};

template <class Make, class D, class Client>
class RoomProtocolChecker {
    using Pair = RoomProtocolPair<Make>;
    using P = typename Pair::Protocol;
    using Kind = part::RoomMessage::Kind;
    using Reading = RoomProtocolReading;
    using Rule = check::RoomProtocolRule;
    static_assert(explain::room_protocol_like<P>());

public:
    RoomProtocolChecker(Make& make, const D& empty, Client& client, Random bits,
                        std::uint64_t (*allocated)())
        : pair_{make},
          empty_{empty},
          client_{client},
          full_{empty},
          bits_{bits},
          reader_{pair_.first, verdict_, bits_, allocated} {}

    /// `Frame` is check::ClientFrame.
    template <class Frame>
    [[nodiscard]] std::optional<check::RoomProtocolFault> run(std::span<const Frame> frames,
                                                              std::span<const Bytes> rejected,
                                                              std::uint64_t mutations) {
        for (const Frame& frame : frames) read_sample(frame, frames);
        if (!verdict_.fault) write_each_kind();
        if (!verdict_.fault) serve_document();
        if (!verdict_.fault) compare_vectors();
        for (const Bytes& frame : rejected) {
            if (!reader_.read(frame, [] {}).rejected)
                verdict_.expect(false, Rule::rejects_what_is_wrong);
        }
        mutate(mutations, {}, 0);
        for (std::size_t i = 0; i < samples_.size(); ++i) mutate(mutations, frames[i].frame, i);
        return verdict_.fault;
    }

private:
    // ---- the frames of clients ------------------------------------------------------------------

    template <class Frame>
    void read_sample(const Frame& frame, std::span<const Frame> frames) {
        const Reading got = reader_.read(frame.frame, [&] {
            for (const Frame& other : frames) read_another(other.frame);
        });
        verdict_.expect(!got.rejected && got.kind == frame.kind &&
                            (!frame.payload || got.payload == *frame.payload) &&
                            (frame.room_id.empty() || got.room_id == frame.room_id),
                        Rule::reads_its_frames);
        if constexpr (AddressesFrames<P>) {
            const bool own = got.kind == Kind::ping || got.kind == Kind::pong;
            verdict_.expect(own == got.address.empty(), Rule::own_frames_have_no_address);
            verdict_.expect(got.address.size() <= 256, Rule::address_is_short);
            verdict_.expect(own || is_room_id_of_url(got.room_id), Rule::finds_the_room_id);
            if (!own &&
                std::find(addresses_.begin(), addresses_.end(), got.address) == addresses_.end())
                addresses_.push_back(got.address);
        }
        samples_.push_back(got);
        if (!verdict_.fault) give_to_room(got);
    }
    /// Reads a frame as a room does, and forgets it.
    void read_another(BytesView frame) {
        if constexpr (AddressesFrames<P>) {
            const auto address = pair_.first.address(frame);
            if (!address.has_value()) return;
            const BytesView name = *address;
            if (name.size() > frame.size()) return;
            frame = frame.subspan(name.size());
        }
        static_cast<void>(pair_.first.read(frame));
    }
    /// The room passes the payload of a client to its document, or to its awareness.
    void give_to_room(const Reading& got) {
        bool accepted = true;
        if (got.kind == Kind::update || got.kind == Kind::state) {
            const auto adds = full_.check(got.payload);
            accepted = adds.has_value() && applied(full_, got.payload);
            if (accepted && *adds) updates_.push_back(got.payload);
        } else if (got.kind == Kind::awareness) {
            const RoomOptions options{};
            RoomAwareness awareness{options};
            accepted = !awareness.receive({1, "user"}, got.payload, Instant{});
        } else if (got.kind == Kind::state_vector) {
            accepted = full_.diff(got.payload).has_value();
            if (!got.payload.empty()) vectors_.push_back(got.payload);
        }
        verdict_.expect(accepted, Rule::payload_is_for_the_room);
    }
    [[nodiscard]] static bool applied(D& document, BytesView update) {
        return !static_cast<std::error_code>(document.apply(update));
    }

    // ---- the frames of the server ---------------------------------------------------------------

    /// Writes a message several times, and returns the frame.
    [[nodiscard]] Bytes written(Kind kind, BytesView payload) {
        verdict_.concern(payload);
        Bytes frame;
        verdict_.attempt([&] {
            const auto write = [kind](const P& protocol, const GuardedBytes& bytes) {
                return protocol.write(part::RoomMessage{kind, bytes.view(), {}});
            };
            const GuardedBytes here{reader_.guard(), payload};
            frame = write(pair_.first, here);
            verdict_.expect(frame == write(pair_.second, here) &&
                                frame == write(pair_.first, {reader_.other_guard(), payload}) &&
                                frame == write(pair_.first, {{}, payload}),
                            Rule::writes_the_same);
        });
        verdict_.concern(frame);
        verdict_.expect(is_bounded(frame.size(), payload), Rule::frames_are_bounded);
        const bool own = kind == Kind::ping || kind == Kind::pong;
        if constexpr (AddressesFrames<P>) {
            if (own) keeps({}, frame, Rule::own_frames_have_no_address);
        }
        for (const Bytes& address : addresses_) {
            if (!own) keeps(address, frame, Rule::address_is_kept);
        }
        return frame;
    }
    [[nodiscard]] static bool is_bounded(std::size_t size, BytesView payload) noexcept {
        return size <= 4 * payload.size() + 1024;
    }
    /// Checks that a frame of the server has the address that precedes it.
    void keeps(BytesView address, BytesView frame, Rule rule) {
        if constexpr (AddressesFrames<P>) {
            Bytes whole = to_bytes(address);
            whole.insert(whole.end(), frame.begin(), frame.end());
            verdict_.attempt([&] {
                const GuardedBytes here{reader_.guard(), whole};
                const auto found = pair_.first.address(here.view());
                bool same = found.has_value();
                if (same) {
                    const BytesView name = *found;
                    same = name.size() == address.size() &&
                           std::equal(name.begin(), name.end(), address.begin());
                }
                verdict_.concern(whole);
                verdict_.expect(same, rule);
            });
        }
    }
    /// Sends a message to a client.   Returns: the payload that the client reads.
    Bytes send(Kind kind, BytesView payload) {
        const Bytes frame = written(kind, payload);
        Bytes got;
        if (verdict_.fault) return got;
        const auto use = [&](const auto& read) {
            bool same = read.has_value();
            if (same) {
                const part::RoomMessage& message = *read;
                got = to_bytes(message.payload);
                same = message.kind == kind && (payload.empty() || got == to_bytes(payload));
            }
            verdict_.expect(same, Rule::client_reads_each_frame);
        };
        if constexpr (std::same_as<Client, SameFormat>) {
            verdict_.attempt([&] { use(pair_.first.read(frame)); });
        } else {
            use(client_(BytesView{frame}));
        }
        // It may read something that means nothing.
        return payload.empty() ? Bytes{} : got;
    }

    [[nodiscard]] static BytesView reason() noexcept { return as_bytes("the room is full"); }
    void write_each_kind() {
        std::vector<std::pair<Kind, BytesView>> messages{{Kind::state_vector, {}},
                                                         {Kind::state, {}},
                                                         {Kind::query_awareness, {}},
                                                         {Kind::denied, reason()}};
        std::vector<Kind> sent{Kind::state_vector, Kind::state, Kind::query_awareness};
        if constexpr (AddressesFrames<P>) {
            messages.insert(messages.end(), {{Kind::token, {}},
                                             {Kind::granted, as_bytes(to_string(Access::edit))},
                                             {Kind::rejected, reason()},
                                             {Kind::stored, {}},
                                             {Kind::close, reason()},
                                             {Kind::ping, {}},
                                             {Kind::pong, {}},
                                             {Kind::stateless, reason()}});
            sent.insert(sent.end(), {Kind::close, Kind::ping, Kind::pong, Kind::stateless});
            for (const Access access : {Access::view, Access::comment})
                static_cast<void>(written(Kind::granted, as_bytes(to_string(access))));
        }
        denial_ = written(Kind::denied, reason());
        std::vector<Bytes> frames;
        for (const auto& [kind, payload] : messages) {
            const Bytes frame = written(kind, payload);
            verdict_.expect(std::find(frames.begin(), frames.end(), frame) == frames.end(),
                            Rule::kinds_differ);
            frames.push_back(frame);
            const bool shared = std::find(sent.begin(), sent.end(), kind) != sent.end();
            if (shared) send(kind, kind == Kind::close ? BytesView{} : payload);
        }
        for (const Reading& sample : samples_) {
            if (sample.kind == Kind::awareness) send(sample.kind, sample.payload);
        }
    }

    // ---- a room ---------------------------------------------------------------------------------

    /// Serves a client that follows the room, and one that joins at the end.
    void serve_document() {
        D follower{empty_};
        D room{empty_};
        Bytes before;
        for (const Bytes& update : updates_) {
            give(follower, update, Kind::update);
            static_cast<void>(applied(room, update));
            Bytes now = room.state_vector();
            // The document keeps its authors.
            if (!before.empty()) compare(before, now, true);
            vectors_.push_back(before = std::move(now));
        }
        verdict_.expect(check::SameContent{}(follower, full_, empty_),
                        Rule::client_has_the_document);
        D joined{empty_};
        send(Kind::state_vector, full_.state_vector());
        const auto missing = full_.diff(D{empty_}.state_vector());
        if (missing.has_value()) give(joined, Bytes(*missing), Kind::state);
        verdict_.expect(check::SameContent{}(joined, full_, empty_), Rule::client_has_the_document);
    }
    /// Sends an update in pieces, and applies what the client reads.
    void give(D& client, BytesView update, Kind last) {
        const std::vector<Bytes> pieces = pieces_of(update);
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            const Bytes got = send(i + 1 == pieces.size() ? last : Kind::update, pieces[i]);
            if (!got.empty()) static_cast<void>(applied(client, got));
        }
    }
    [[nodiscard]] std::vector<Bytes> pieces_of(BytesView update) {
        std::vector<Bytes> pieces{to_bytes(update)};
        if constexpr (SplitsUpdate<P>) {
            constexpr std::size_t most = 1024;
            if (update.size() <= most) return pieces;
            verdict_.concern(update);
            verdict_.attempt([&] {
                pieces = pair_.first.split(update, most);
                verdict_.expect(pieces == pair_.second.split(to_bytes(update), most),
                                Rule::writes_the_same);
            });
            std::size_t size = 0;
            for (const Bytes& piece : pieces) size += piece.size();
            verdict_.expect(is_bounded(size, update), Rule::frames_are_bounded);
        }
        return pieces;
    }

    void compare_vectors() {
        for (const Bytes& a : vectors_) {
            compare(a, {}, true);
            for (const Bytes& b : vectors_) compare(a, b, &a == &b);
        }
    }
    /// `related` vectors have a common author, or one of them is empty.
    void compare(BytesView a, BytesView b, bool related) {
        if constexpr (HasDisjoint<P>) {
            verdict_.concern(a);
            verdict_.attempt([&] {
                const bool apart = pair_.first.disjoint(a, b);
                verdict_.expect(apart == pair_.first.disjoint(b, a) && !(related && apart),
                                Rule::disjoint_is_reliable);
            });
        }
    }

    // ---- malformed frames -----------------------------------------------------------------------

    /// Reads each beginning of a frame, and frames that differ from it.
    void mutate(std::uint64_t mutations, const Bytes& frame, std::size_t place) {
        constexpr std::size_t cuts_max = 256;
        for (std::size_t size = 0; size < std::min(frame.size(), cuts_max); ++size)
            read_any(BytesView{frame}.first(size), frame, place);
        for (; mutations != 0 && !verdict_.fault; --mutations) {
            const std::size_t other =
                samples_.empty() ? 0 : static_cast<std::size_t>(bits_() % samples_.size());
            const BytesView tail =
                samples_.empty() ? BytesView{} : BytesView{samples_[other].payload};
            read_any(mutated_frame(frame, tail, bits_), frame, place);
        }
    }
    /// Reads a frame that may be malformed, and then the whole one again.
    void read_any(BytesView bad, const Bytes& frame, std::size_t place) {
        if (verdict_.fault) return;
        const Reading got = reader_.read(bad, [] {});
        if (!verdict_.fault && !got.rejected) relay(got);
        if (verdict_.fault || place >= samples_.size() || frame.empty()) return;
        bool same = reader_.read(frame, [] {}) == samples_[place];
        verdict_.concern(bad);
        verdict_.attempt([&] {
            same = same && pair_.first.write({Kind::denied, reason(), {}}) == denial_;
        });
        verdict_.expect(same, Rule::remembers_nothing);
    }
    /// A room sends an update to its other clients if its document accepts it.
    void relay(const Reading& got) {
        if (!got.address.empty() && got.address.size() <= 256)
            keeps(got.address, denial_, Rule::address_is_kept);
        if (got.kind == Kind::update || got.kind == Kind::state) {
            const auto adds = full_.check(got.payload);
            if (!adds.has_value() || !*adds) return;
            for (const Bytes& piece : pieces_of(got.payload)) send(Kind::update, piece);
        } else if (got.kind == Kind::state_vector) {
            compare_any(got.payload);
        }
    }
    /// A room compares the state vector of a client before its document has checked it.
    void compare_any(BytesView theirs) {
        if constexpr (HasDisjoint<P>) {
            verdict_.attempt([&] {
                const GuardedBytes here{reader_.guard(), theirs};
                const GuardedBytes there{reader_.other_guard(), theirs};
                for (const Bytes& ours : vectors_) {
                    verdict_.expect(pair_.first.disjoint(ours, here.view()) ==
                                        pair_.first.disjoint(ours, there.view()),
                                    Rule::disjoint_is_reliable);
                }
            });
        }
    }

    RoomProtocolVerdict verdict_{};
    Pair pair_;
    const D& empty_;
    Client& client_;
    D full_;
    Random bits_;
    RoomProtocolReader<P> reader_;
    std::vector<Reading> samples_{};
    std::vector<Bytes> addresses_{};
    std::vector<Bytes> updates_{};
    std::vector<Bytes> vectors_{};  // state vectors of clients, then those of the room
    Bytes denial_{};
};

}}}  // namespace belay::detail
