// SPDX-License-Identifier: MIT
/// \file belay/session/session_format.hpp
/// The session protocol; see docs/reference/formats/session-protocol.md. Frame is its unit. With
/// Hello and Welcome two sides compare what each of them has. SessionErrc has its errors, and
/// Blocked the reasons why a session stopped sending. SendWindow is the progress of a sender within
/// the Credit that its receiver grants.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/bytes.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/id.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Errors of the session protocol; category "belay.session".
///
/// 1 to 13, and 19, are codes of ERROR frames.
enum class SessionErrc {
    protocol = 1,         ///< a frame that is damaged, unknown, too long, or not allowed here
    version = 2,          ///< the two sides support no common version of the protocol
    unauthorized = 3,     ///< the credentials are not accepted
    forbidden = 4,        ///< the credentials do not own this sender id
    fenced = 5,           ///< another process attached later with this sender's identity
    store_changed = 6,    ///< the receiver's store is not the one that this journal is pinned to
    unknown_journal = 7,  ///< the receiver should know this journal, but does not
    gap = 8,              ///< an operation is missing before this one
    too_large = 9,        ///< the operation is larger than the receiver accepts
    overloaded = 10,      ///< the receiver is overloaded; try again later
    draining = 11,        ///< the receiver is draining; try again later, elsewhere if possible
    superseded = 12,      ///< a newer connection of the same sender took over
    storage = 13,         ///< the receiver could not store what it was sent
    receiver_rolled_back = 14,  ///< the receiver lost operations that it had acknowledged
    sender_rolled_back = 15,    ///< the receiver has operations that this journal never had
    diverged = 16,              ///< both sides have different operations with the same number
    journal_failed = 17,        ///< the sender's own journal failed; see its error
    silent = 18,                ///< the peer did not answer in time
    /// The receiver rejects the sender, because it was started too often since its last recorded
    /// operation. Authorize it there, or move to a new journal.
    far_ahead = 19,
    takes_no_more = 20,   ///< drain() was called: nothing is accepted until the session has stopped
    token_too_long = 21,  ///< SessionOptions::token is longer than 4 KiB; nothing was sent
    hello_rejected = 22,  ///< the transport can never carry the first message of a session
    not_sent = 23         ///< an acknowledgement of a message that the outbox has not sent
};

namespace detail {
inline constexpr ErrorText session_error_texts[] = {
    {"the peer broke the session protocol, or the data was damaged", Cause::protocol},
    {"there is no common version of the session protocol", Cause::permanent},
    {"the credentials were not accepted", Cause::unauthorized},
    {"the credentials do not own this sender id", Cause::unauthorized},
    {"another process took over this sender's identity", Cause::permanent},
    {"the receiver's store was replaced, or another server answered, with a store of its own",
     Cause::permanent},
    {"the receiver no longer knows this journal", Cause::permanent},
    {"an operation is missing before this one", Cause::protocol},
    {"the operation is larger than the receiver accepts", Cause::permanent},
    {"the receiver is overloaded", Cause::overloaded},
    {"the receiver is draining", Cause::overloaded},
    {"a newer connection of the same sender took over", Cause::lost},
    {"the receiver could not store an operation", Cause::lost},
    {"the receiver lost operations that it had acknowledged", Cause::permanent},
    {"the receiver has operations that this journal never had", Cause::permanent},
    {"the sender and the receiver have different operations with the same number",
     Cause::permanent},
    {"the sender's own journal failed", Cause::permanent, FailureOrigin::local},
    {"the peer did not answer in time", Cause::timed_out, FailureOrigin::silent},
    {"the receiver rejects the number of starts of this sender: authorize the sender there, or "
     "move to a new journal",
     Cause::refused},
    {"the session is draining, and accepts no more operations", Cause::refused,
     FailureOrigin::local},
    {"the session's token is longer than 4 KiB: shorten SessionOptions::token", Cause::permanent,
     FailureOrigin::local},
    {"the transport rejected the session's first message: it must carry any bytes, not only text, "
     "and "
     "messages of 8 KiB",
     Cause::permanent, FailureOrigin::local},
    {"the outbox has not sent the acknowledged message, or removes messages without "
     "acknowledgements: pass a number that on_sent has reported, with at_least_once",
     Cause::refused, FailureOrigin::local},
};

/// Returns the category of SessionErrc.
[[nodiscard]] inline const std::error_category& session_category() noexcept {
    static const TableCategory category{"belay.session", session_error_texts};
    return category;
}
}  // namespace detail

/// Makes a std::error_code of a SessionErrc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(SessionErrc e) noexcept {
    return {static_cast<int>(e), detail::session_category()};
}

/// Returns the failure for a SessionErrc.
[[nodiscard]] inline Failure failure_of(SessionErrc e, Duration retry_after = {}) noexcept {
    return Failure::from(make_error_code(e), retry_after);
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::SessionErrc> : std::true_type {};

namespace belay { inline namespace BELAY_ABI {

namespace session_format {

/// The type of a frame. The numbers never change.
enum class FrameType : std::uint8_t {
    hello = 1,
    welcome = 2,
    start = 3,
    data = 4,
    ack = 5,
    reject = 6,
    confirm = 7,
    drain = 8,
    close = 9,
    error = 10,
    ping = 11,
    pong = 12
};

/// The fields of a frame; `payload` refers to the message from which it was read.
struct Frame {
    /// The kind of frame.
    FrameType type{};
    /// Bits that the type defines.
    std::uint8_t flags = 0;
    /// The lane of the operations.
    std::uint8_t lane = 0;
    /// Depends on the type: largest payload accepted (hello, welcome), salt (data), code (error).
    std::uint32_t aux = 0;
    /// Depends on the type: attach (hello, welcome, start), number (data, ack), detail (error),
    /// token (ping).
    std::uint64_t number = 0;
    /// The bytes behind the head.
    BytesView payload{};
};

/// The size of the header of a frame, which is before its payload.
inline constexpr std::size_t frame_header_bytes = 24;
/// The version of the protocol, which every frame contains.
inline constexpr std::uint8_t frame_version = 1;
/// The maximum payload of a frame before WELCOME.
inline constexpr std::size_t greeting_bytes_max = 8 * 1024;
/// The maximum size of a token in a HELLO.
inline constexpr std::size_t token_bytes_max = 4 * 1024;
/// The maximum payload that either side may ever announce.
inline constexpr std::uint32_t payload_bytes_ceiling = 16U << 20U;

/// Appends a frame to a message.   Pre: the payload is under 4 GiB.   Throws: std::bad_alloc.
inline void append_frame(Bytes& message, const Frame& frame) {
    const std::size_t start = message.size();
    // Without memory, nothing is appended: no half of a frame.
    const std::size_t end = start + frame_header_bytes + frame.payload.size();
    if (end > message.capacity()) message.reserve(detail::larger(end, 2 * message.capacity()));
    const std::byte header[frame_header_bytes]{};
    message.insert(message.end(), header, header + frame_header_bytes);
    const std::byte* const payload = frame.payload.data();
    message.insert(message.end(), payload, payload + frame.payload.size());
    std::byte* const p = message.data() + start;
    store_le<std::uint32_t>(p + 4, static_cast<std::uint32_t>(frame.payload.size()));
    store_le<std::uint8_t>(p + 8, frame_version);
    store_le<std::uint8_t>(p + 9, static_cast<std::uint8_t>(frame.type));
    store_le<std::uint8_t>(p + 10, frame.flags);
    store_le<std::uint8_t>(p + 11, frame.lane);
    store_le<std::uint32_t>(p + 12, frame.aux);
    store_le<std::uint64_t>(p + 16, frame.number);
    const BytesView covered{p + 4, frame_header_bytes - 4 + frame.payload.size()};
    store_le<std::uint32_t>(p, part::crc32c(covered));
}

/// Splits a message into its frames.
///
/// Errors:        SessionErrc::protocol for anything that is not a whole, undamaged, known frame;
///                then `bad_type` is the offending type, and nothing more is read.
/// Thread safety: distinct objects safe.   Allocates: never.
class FrameReader {
public:
    /// `payload_bytes_max` limits every frame's payload, and is checked before anything else of it.
    FrameReader(BytesView message, std::size_t payload_bytes_max) noexcept
        : rest_{message}, payload_bytes_max_{payload_bytes_max} {}

    /// Returns the next frame, which the next call overwrites; null at the end of the message.
    /// Complexity: O(payload) for its checksum.
    [[nodiscard]] Result<const Frame*> next() noexcept {
        // A message has at least one frame. Otherwise a peer could stay silent for ever with empty
        // messages.
        if (rest_.empty() && read_any_) return nullptr;
        read_any_ = true;
        if (rest_.size() < frame_header_bytes) return damaged(0);
        const std::byte* const p = rest_.data();
        const auto length = load_le<std::uint32_t>(p + 4);
        const auto type = load_le<std::uint8_t>(p + 9);
        if (length > payload_bytes_max_ || length > rest_.size() - frame_header_bytes) {
            return damaged(type);
        }
        const BytesView covered = rest_.subspan(4, frame_header_bytes - 4 + length);
        if (load_le<std::uint32_t>(p) != part::crc32c(covered)) return damaged(type);
        Frame& frame = frame_ = {};
        frame.type = static_cast<FrameType>(type);
        frame.flags = load_le<std::uint8_t>(p + 10);
        frame.lane = load_le<std::uint8_t>(p + 11);
        frame.aux = load_le<std::uint32_t>(p + 12);
        frame.number = load_le<std::uint64_t>(p + 16);
        frame.payload = rest_.subspan(frame_header_bytes, length);
        const bool known = load_le<std::uint8_t>(p + 8) == frame_version && type >= 1 && type <= 12;
        if (!known || (frame.flags & ~flags_of(frame.type)) != 0 || frame.lane > 15 ||
            !is_zero_where_unused(frame)) {
            return damaged(type);
        }
        rest_ = rest_.subspan(frame_header_bytes + length);
        return &frame_;
    }

    /// Returns the type byte of the rejected frame; 0 if it could not be read.
    [[nodiscard]] std::uint8_t bad_type() const noexcept { return bad_type_; }

private:
    [[nodiscard]] std::error_code damaged(std::uint8_t type) noexcept {
        bad_type_ = type;
        rest_ = {};
        return SessionErrc::protocol;
    }
    /// Returns the known flags of a type. Unknown flags are errors: the protocol grows only by
    /// features on which both sides have agreed.
    [[nodiscard]] static constexpr std::uint8_t flags_of(FrameType type) noexcept {
        switch (type) {
            case FrameType::hello:
            case FrameType::reject:
            case FrameType::drain:
                return 1;
            case FrameType::data:
                return 7;
            default:
                return 0;
        }
    }

    [[nodiscard]] static constexpr bool is_zero_where_unused(const Frame& frame) noexcept {
        switch (frame.type) {
            case FrameType::start:
            case FrameType::ping:
            case FrameType::pong:
                return frame.aux == 0 && frame.payload.empty();
            case FrameType::ack:
                return frame.aux == 0;
            default:
                return true;
        }
    }

    BytesView rest_;
    std::size_t payload_bytes_max_;
    Frame frame_{};
    std::uint8_t bad_type_ = 0;
    bool read_any_ = false;
};

/// The first frame of a sender (one lane, one direction).
struct Hello {
    /// The run in the upper half, and the number of the connection in this run in the lower one.
    std::uint64_t attach = 0;
    /// The largest payload that the sender accepts.
    std::uint32_t payload_bytes_max = 0;
    /// Milliseconds within which the sender needs a sign of life while it sends a long frame. With
    /// 0 the receiver chooses.
    std::uint16_t sign_within_ms = 0;
    /// The lowest version of the protocol that the sender supports.
    std::uint8_t version_low = frame_version;
    /// The highest version of the protocol that the sender supports.
    std::uint8_t version_high = frame_version;
    /// The id of the sender.
    Id sender{};
    /// The id of the sender's journal.
    Id journal{};
    /// The id of the store to which the journal is pinned; all zeros: none.
    Id pinned_store{};
    /// The first number that is still held: the last acknowledged number + 1.
    std::uint64_t base = 1;
    /// The highest durable number; base - 1 if there is none.
    std::uint64_t last = 0;
    /// The check at base - 1.
    std::uint64_t check = 0;
    /// The token for the receiver's authorizer; may be empty.
    BytesView token{};
};

/// The receiver's answer to a Hello.
struct Welcome {
    /// The attach of the Hello.
    std::uint64_t attach = 0;
    /// The largest payload that the receiver accepts.
    std::uint32_t payload_bytes_max = 0;
    /// Whether the journal is adopted already: the numbers below are its own.
    bool known = false;
    /// Whether the record holds another journal, which START would replace.
    bool replaces = false;
    /// The id of the receiver's store.
    Id store{};
    /// The id of the journal that START would replace; all zeros: none.
    Id replaced_journal{};
    /// How many bytes of payloads may be sent on this connection.
    std::uint64_t byte_limit = 0;
    /// The highest number that is applied.
    std::uint64_t applied = 0;
    /// The check at `applied`.
    std::uint64_t check = 0;
    /// The highest number that may be sent.
    std::uint64_t number_limit = 0;
    /// The highest number that was applied of the journal that START would replace.
    std::uint64_t replaced_applied = 0;
};

}  // namespace session_format

namespace detail {

inline constexpr char session_magic[8] = {'b', 'e', 'l', 'a', 'y', '/', 's', '\n'};
inline constexpr std::uint64_t number_ceiling = std::uint64_t{1} << 63U;

/// Writes fields one after the other.
class FieldWriter {
public:
    template <class T>
    void put(T value) {
        std::byte field[sizeof(T)];
        store_le<T>(field, value);
        put_bytes({static_cast<const std::byte*>(field), sizeof(T)});
    }
    void put_bytes(BytesView b) { bytes_.insert(bytes_.end(), b.data(), b.data() + b.size()); }
    [[nodiscard]] BytesView view() const noexcept { return {bytes_.data(), bytes_.size()}; }

private:
    Bytes bytes_;
};

/// Reads fields one after the other. Past the end it returns zeros and stores that it failed.
class FieldReader {
public:
    explicit FieldReader(BytesView bytes) noexcept : rest_{bytes} {}
    template <class T>
    [[nodiscard]] T get() noexcept {
        const BytesView b = get_bytes(sizeof(T));
        return b.empty() ? T{0} : load_le<T>(b.data());
    }
    [[nodiscard]] Id get_id() noexcept {
        Id id{};
        const BytesView b = get_bytes(id.size());
        for (std::size_t i = 0; i < b.size(); ++i) id[i] = b[i];
        return id;
    }
    [[nodiscard]] BytesView get_bytes(std::size_t n) noexcept {
        if (n > rest_.size()) {
            failed_ = true;
            rest_ = {};
            return {};
        }
        const BytesView b = rest_.first(n);
        rest_ = rest_.subspan(n);
        return b;
    }
    /// Returns whether everything was there, and nothing is left over.
    [[nodiscard]] bool complete() const noexcept { return !failed_ && rest_.empty(); }
    [[nodiscard]] bool failed() const noexcept { return failed_; }

private:
    BytesView rest_;
    bool failed_ = false;
};

[[nodiscard]] inline BytesView magic_bytes() noexcept {
    return as_bytes(std::string_view{session_magic, sizeof session_magic});
}
[[nodiscard]] inline bool is_magic(BytesView b) noexcept {
    return as_text(b) == std::string_view{session_magic, sizeof session_magic};
}

}  // namespace detail

namespace session_format {

/// Appends a HELLO frame to a message.   Pre: the token is at most 4 KiB.
inline void append_hello(Bytes& message, const Hello& h) {
    BELAY_PRECONDITION(h.token.size() <= token_bytes_max,
                       "append_hello: the token must be at most 4 KiB");
    detail::FieldWriter w;
    w.put_bytes(detail::magic_bytes());
    w.put<std::uint8_t>(h.version_low);
    w.put<std::uint8_t>(h.version_high);
    w.put<std::uint8_t>(1);   // roles: sends
    w.put<std::uint8_t>(1);   // lanes of the sending half
    w.put<std::uint16_t>(0);  // features offered
    w.put<std::uint16_t>(h.sign_within_ms);
    w.put_bytes(h.sender);
    w.put_bytes(h.journal);
    w.put_bytes(h.pinned_store);
    w.put_bytes(no_id);  // store of a receiving half: there is none
    w.put<std::uint64_t>(h.base);
    w.put<std::uint64_t>(h.last);
    w.put<std::uint64_t>(h.check);
    w.put<std::uint16_t>(static_cast<std::uint16_t>(h.token.size()));
    w.put_bytes(h.token);
    append_frame(message, {.type = FrameType::hello,
                           .aux = h.payload_bytes_max,
                           .number = h.attach,
                           .payload = w.view()});
}

/// Reads a HELLO frame.   Errors: SessionErrc::protocol, or version if none is common.
[[nodiscard]] inline Result<Hello> read_hello(const Frame& frame) noexcept {
    detail::FieldReader r{frame.payload};
    Hello h;
    h.attach = frame.number;
    h.payload_bytes_max = frame.aux;
    if (!detail::is_magic(r.get_bytes(sizeof detail::session_magic))) return SessionErrc::protocol;
    h.version_low = r.get<std::uint8_t>();
    h.version_high = r.get<std::uint8_t>();
    if (r.failed() || h.version_low > h.version_high) return SessionErrc::protocol;
    if (h.version_low > frame_version || h.version_high < frame_version)
        return SessionErrc::version;
    const auto roles = r.get<std::uint8_t>();
    const auto lanes = r.get<std::uint8_t>();
    static_cast<void>(r.get<std::uint16_t>());  // offers may be ignored
    h.sign_within_ms = r.get<std::uint16_t>();
    h.sender = r.get_id();
    h.journal = r.get_id();
    h.pinned_store = r.get_id();
    const bool reserved = r.get_id() != no_id;
    // This receiver serves one lane in one direction, and supports no decision to rebase.
    if (roles != 1 || lanes != 1 || frame.flags != 0 || reserved) return SessionErrc::protocol;
    h.base = r.get<std::uint64_t>();
    h.last = r.get<std::uint64_t>();
    h.check = r.get<std::uint64_t>();
    h.token = r.get_bytes(r.get<std::uint16_t>());
    if (!r.complete() || h.token.size() > token_bytes_max) return SessionErrc::protocol;
    const bool sane = h.base >= 1 && h.base < detail::number_ceiling && h.last >= h.base - 1 &&
                      h.last < detail::number_ceiling && h.attach != 0 && h.sender != no_id &&
                      h.journal != no_id && h.payload_bytes_max <= payload_bytes_ceiling;
    if (!sane) return SessionErrc::protocol;
    return h;
}

/// Appends a WELCOME frame to a message.
inline void append_welcome(Bytes& message, const Welcome& g) {
    detail::FieldWriter w;
    w.put_bytes(detail::magic_bytes());
    w.put<std::uint8_t>(frame_version);
    w.put<std::uint8_t>(static_cast<std::uint8_t>((g.known ? 1 : 0) | (g.replaces ? 2 : 0)));
    w.put<std::uint8_t>(1);  // lanes
    w.put<std::uint8_t>(0);
    w.put<std::uint32_t>(0);  // features agreed
    w.put_bytes(g.store);
    w.put_bytes(g.replaced_journal);
    w.put<std::uint64_t>(g.byte_limit);
    w.put<std::uint64_t>(g.applied);
    w.put<std::uint64_t>(g.check);
    w.put<std::uint64_t>(g.number_limit);
    w.put<std::uint64_t>(g.replaced_applied);
    w.put<std::uint16_t>(0);  // unconfirmed rejections
    append_frame(message, {.type = FrameType::welcome,
                           .aux = g.payload_bytes_max,
                           .number = g.attach,
                           .payload = w.view()});
}

/// Reads a WELCOME frame.   Errors: SessionErrc::protocol, or version.
[[nodiscard]] inline Result<Welcome> read_welcome(const Frame& frame) noexcept {
    detail::FieldReader r{frame.payload};
    Welcome g;
    g.attach = frame.number;
    g.payload_bytes_max = frame.aux;
    if (!detail::is_magic(r.get_bytes(sizeof detail::session_magic))) return SessionErrc::protocol;
    if (r.get<std::uint8_t>() != frame_version) return SessionErrc::version;
    const auto flags = r.get<std::uint8_t>();
    const auto lanes = r.get<std::uint8_t>();
    const auto zero = r.get<std::uint8_t>();
    const auto features = r.get<std::uint32_t>();
    if (flags > 3 || lanes != 1 || zero != 0 || features != 0) return SessionErrc::protocol;
    g.known = (flags & 1U) != 0;
    g.replaces = (flags & 2U) != 0;
    g.store = r.get_id();
    g.replaced_journal = r.get_id();
    g.byte_limit = r.get<std::uint64_t>();
    g.applied = r.get<std::uint64_t>();
    g.check = r.get<std::uint64_t>();
    g.number_limit = r.get<std::uint64_t>();
    g.replaced_applied = r.get<std::uint64_t>();
    const auto rejections = r.get<std::uint16_t>();
    const bool sane = r.complete() && rejections == 0 && g.applied < detail::number_ceiling &&
                      g.number_limit < detail::number_ceiling && g.store != no_id &&
                      g.payload_bytes_max != 0 && g.payload_bytes_max <= payload_bytes_ceiling;
    // Fields that do not apply must be zero.
    const bool new_here =
        g.known || (g.applied == 0 && g.check == 0 && g.number_limit == 0 && g.byte_limit == 0);
    const bool keeps = g.replaces || (g.replaced_journal == no_id && g.replaced_applied == 0);
    if (!sane || !new_here || !keeps) return SessionErrc::protocol;
    return g;
}

/// Appends an ACK frame to a message.
inline void append_ack(
    Bytes& message,
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of the frame
    std::uint64_t applied, std::uint64_t number_limit, std::uint64_t byte_limit) {
    std::byte payload[16];
    store_le<std::uint64_t>(payload, number_limit);
    store_le<std::uint64_t>(payload + 8, byte_limit);
    append_frame(message, {.type = FrameType::ack, .number = applied, .payload = payload});
}

/// Returns the error that an ERROR frame names; `protocol` if its code is unknown.
[[nodiscard]] constexpr SessionErrc error_of(const Frame& error) noexcept {
    const auto code = static_cast<SessionErrc>(error.aux);
    const bool in_range = code >= SessionErrc::protocol && code <= SessionErrc::storage;
    return in_range || code == SessionErrc::far_ahead ? code : SessionErrc::protocol;
}

/// Appends an ERROR frame, the last of its connection, to a message.
inline void append_error(Bytes& message, SessionErrc code, std::uint64_t detail,
                         BytesView payload = {}) {
    append_frame(message, {.type = FrameType::error,
                           .aux = static_cast<std::uint32_t>(code),
                           .number = detail,
                           .payload = payload});
}

}  // namespace session_format

/// The reason why a session does not send, although it is connected or could be.
///
/// The session never continues by guessing.
enum class Blocked : std::uint8_t {
    none,
    receiver_lost_state,   ///< another store, or one that forgot this sender: acknowledged
                           ///< operations may be lost
    receiver_rolled_back,  ///< the receiver was restored from an older copy: it lost what it had
                           ///< acknowledged
    sender_rolled_back,    ///< this journal was restored from an older copy, or lost a tail
    diverged,              ///< both sides have different operations with the same number
    fenced,                ///< a clone of this sender attached later
    too_large,             ///< the next operation is larger than the receiver accepts
    journal_failed         ///< the sender's own journal failed; see its error
};

/// Returns the name of a reason, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Blocked blocked) noexcept {
    constexpr std::string_view names[] = {
        "none",   "receiver_lost_state", "receiver_rolled_back", "sender_rolled_back", "diverged",
        "fenced", "too_large",           "journal_failed"};
    return detail::name_of(blocked, names);
}

/// The facts about a blocked session; the lost operations lie between these numbers.
struct BlockedDetails {
    std::uint64_t acked = 0;             ///< the last number acknowledged and released here
    std::uint64_t last = 0;              ///< the highest durable number here
    std::uint64_t applied = 0;           ///< the last number that the receiver reports
    std::uint64_t attach = 0;            ///< if fenced: the attach number of the new sender
    Id pinned_store{};                   ///< the store to which this journal belongs
    Id receiver_store{};                 ///< the store that answered
    Id replaced_journal{};               ///< the journal that this one replaces at the receiver
    std::uint64_t replaced_applied = 0;  ///< the last number that the receiver had of that journal
};

namespace detail {

/// The limits that a receiver grants: the number of the last operation, and the bytes of one
/// attachment.
struct Credit {
    std::uint64_t number_limit = 0;
    std::uint64_t byte_limit = 0;
};

/// Decides which operation a sender sends next on one connection, and whether the receiver's credit
/// allows it.
///
/// Models:        std::copyable.
/// Thread safety: distinct objects safe.
class SendWindow {
public:
    /// Resumes: the receiver has every operation before `next`, and grants `credit`.
    constexpr void resume(std::uint64_t next, Credit credit) noexcept {
        next_ = next;
        highest_ = next - 1;
        bytes_ = 0;
        credit_ = credit;
        starved_ = false;
    }
    /// Resets the window for a new connection on which nothing was sent yet.
    constexpr void close() noexcept {
        credit_ = {};
        bytes_ = highest_ = 0;
    }
    /// Adds credit. Credit is never taken back.
    constexpr void grant(Credit credit) noexcept {
        credit_.number_limit = larger(credit_.number_limit, credit.number_limit);
        credit_.byte_limit = larger(credit_.byte_limit, credit.byte_limit);
        starved_ = false;
    }

    /// Whether an operation may be sent, as far as is known without its size.
    [[nodiscard]] constexpr bool open(std::uint64_t durable) const noexcept {
        return !starved_ && next_ <= durable && next_ <= credit_.number_limit;
    }
    /// Checks the bytes of the next operation. If they exceed the credit, the window stays closed
    /// until there is more credit.
    [[nodiscard]] constexpr bool admits(std::size_t bytes) noexcept {
        starved_ = bytes > credit_.byte_limit - bytes_;
        return !starved_;
    }
    /// Records that the next operation, of this size, was sent.
    constexpr void sent(std::size_t bytes) noexcept {
        bytes_ += bytes;
        highest_ = larger(highest_, next_);
        ++next_;
    }

    [[nodiscard]] constexpr std::uint64_t next() const noexcept { return next_; }
    /// Returns the highest number that was sent on this connection, or that the receiver had before
    /// it.
    [[nodiscard]] constexpr std::uint64_t highest() const noexcept { return highest_; }

    /// Calls `f` with all that it decides by, for sim::exhaust.
    template <class F>
    constexpr void each_field(F&& f) const {
        f(next_);  // highest_ follows from it where it is used
        f(bytes_);
        f(credit_.number_limit);
        f(credit_.byte_limit);
        f(starved_);
    }

private:
    std::uint64_t next_ = 1;
    std::uint64_t highest_ = 0;
    std::uint64_t bytes_ = 0;
    Credit credit_{};
    bool starved_ = false;
};

/// Returns whether an error of a log may pass: the log has not failed, and can be written and read
/// later. Examples are a lack of space, of descriptors or of permissions.
///
/// `has_failed`: the log takes nothing more.   Complexity: O(1).
[[nodiscard]] inline bool may_pass(const std::error_code& error, bool has_failed) noexcept {
    if (has_failed) return false;
    return error == QueueErrc::displaced || error.category() != queue_category();
}

/// Returns the failure of a connection that an error of a log ends.   Complexity: O(1).
///
/// An error of the system has the cause `overloaded`. By itself, EACCES would mean that the peer
/// has refused the connection for good, and ENOSPC that the network has lost it.
[[nodiscard]] inline Failure log_failure(const std::error_code& error, bool passes) noexcept {
    Failure why = Failure::from(error);
    if (!passes) {
        why.cause = Cause::permanent;
    } else if (error.category() != queue_category()) {
        why.cause = Cause::overloaded;
    }
    return why;
}

}  // namespace detail

}}  // namespace belay
