// SPDX-License-Identifier: MIT
/// \file belay/session/greeting.hpp
/// session_format::Hello, Welcome: frames with which two sides compare what each of them has.
#pragma once

#include <belay/journal/id.hpp>
#include <belay/session/frame.hpp>

namespace belay { inline namespace BELAY_ABI { namespace session_format {

/// The first frame of a sender (one lane, one direction).
struct Hello {
    std::uint64_t attach = 0;
    std::uint32_t payload_bytes_max = 0;
    /// Milliseconds within which the sender needs a sign of life while it sends a long frame. With
    /// 0 the receiver chooses.
    std::uint16_t sign_within_ms = 0;
    std::uint8_t version_low = frame_version;
    std::uint8_t version_high = frame_version;
    Id sender{};
    Id journal{};
    Id pinned_store{};
    /// The first number that is still held: the last acknowledged number + 1.
    std::uint64_t base = 1;
    /// The highest durable number; base - 1 if there is none.
    std::uint64_t last = 0;
    /// The check at base - 1.
    std::uint64_t check = 0;
    BytesView token{};
};

/// The receiver's answer to a Hello.
struct Welcome {
    std::uint64_t attach = 0;
    std::uint32_t payload_bytes_max = 0;
    /// Whether the journal is adopted already: the numbers below are its own.
    bool known = false;
    /// Whether the record holds another journal, which START would replace.
    bool replaces = false;
    Id store{};
    Id replaced_journal{};
    std::uint64_t byte_limit = 0;
    std::uint64_t applied = 0;
    std::uint64_t check = 0;
    std::uint64_t number_limit = 0;
    std::uint64_t replaced_applied = 0;
};

}}}  // namespace belay::session_format

namespace belay { inline namespace BELAY_ABI { namespace detail {

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

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace session_format {

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

}}}  // namespace belay::session_format
