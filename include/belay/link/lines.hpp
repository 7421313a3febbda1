// SPDX-License-Identifier: MIT
/// \file belay/link/lines.hpp
/// Lines: a framing in which each line of text is a message.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/assert.hpp>
#include <belay/core/order.hpp>
#include <belay/link/framing_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A framing in which each line of text is a message.
///
/// A line ends with "\n" or "\r\n", which is not part of the message. An empty line is an empty
/// message. `put` rejects a message that contains "\n" or ends with "\r", because it is not a line.
/// The rest of the stream after the last line end is not a message.
///
/// It has no ping of its own. For a Heartbeat use Lines::WithPing.
///
/// Models:        FramingLike, without state.   Thread safety: distinct objects safe.
/// Complexity:    looks at each byte once.
struct Lines {
    class WithPing;

    /// A message must be a line, so a Session over it does not compile.
    static constexpr bool carries_any_bytes = false;

    /// The maximum length of a line, without its end; a longer one is a protocol error.
    std::size_t bytes_max = std::size_t{64} << 10U;
    /// Whether lines are sent with "\r\n". Both line ends are always understood.
    bool carriage_return = false;

    [[nodiscard]] part::Cut cut(BytesView bytes, const part::CutHints& hints) const noexcept {
        const std::size_t most = detail::smaller(bytes_max, hints.message_bytes_max);
        std::size_t size = hints.seen + end_of_line(bytes.subspan(hints.seen));
        const bool whole = size != bytes.size();
        const std::size_t used = size + 1;
        if (size != 0 && bytes[size - 1] == std::byte{'\r'}) --size;
        if (size > most) return part::Cut::garbage();
        return whole ? part::Cut::message(used, bytes.first(size)) : part::Cut::more();
    }

    /// Appends `message` and a line end to `out`.   Returns: false if the message cannot be sent.
    /// Throws: std::bad_alloc, and then nothing was appended.
    [[nodiscard]] bool put(BytesView message, Bytes& out) const {
        const bool is_line = end_of_line(message) == message.size() &&
                             (message.empty() || message.back() != std::byte{'\r'});
        if (!is_line || message.size() > bytes_max) return false;
        const std::size_t size = out.size() + message.size() + 2;
        if (size > out.capacity()) out.reserve(detail::larger(size, 2 * out.capacity()));
        out.insert(out.end(), message.begin(), message.end());
        if (carriage_return) out.push_back(std::byte{'\r'});
        out.push_back(std::byte{'\n'});
        return true;
    }

private:
    /// Returns the index of the first "\n", or the size if there is none.
    [[nodiscard]] static std::size_t end_of_line(BytesView bytes) noexcept {
        if (bytes.empty()) return 0;
        const void* const at = __builtin_memchr(bytes.data(), '\n', bytes.size());
        return at == nullptr
                   ? bytes.size()
                   : static_cast<std::size_t>(static_cast<const std::byte*>(at) - bytes.data());
    }
};

/// Lines with a ping, which is a line that the peer answers with any line.
///
///     Heartbeat{posix::Tcp{loop, server, Lines::WithPing{"PING"}}, beats}
///
/// The answers are messages like any other line. Put the Heartbeat outside a Validated, whose check
/// would otherwise judge the answer to the ping at the opening.
///
/// Models:        FramingLike.   Thread safety: distinct objects safe.
class Lines::WithPing : public Lines {
public:
    /// Pre: `ping` is a line: it has no "\n", no "\r" at its end, and at most `lines.bytes_max`
    ///      bytes.
    /// Throws: std::bad_alloc.
    explicit WithPing(std::string_view ping, Lines lines = {}) : Lines{lines}, ping_{ping} {
        Bytes line;
        const bool is_line = put(as_bytes(ping_), line);
        BELAY_OPTION(is_line, "Lines::WithPing: the ping must be one line, without its end");
    }

    void put_ping(Bytes& out) const { static_cast<void>(put(as_bytes(ping_), out)); }

private:
    std::string ping_;
};

}}  // namespace belay
