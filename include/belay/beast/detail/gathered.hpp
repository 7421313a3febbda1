// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/gathered.hpp
/// BeastGathered: a layer below a WebSocket stream that joins several frames into one write.
#pragma once

#include <cstddef>      // std::ptrdiff_t, std::size_t
#include <cstdint>      // std::uint8_t
#include <functional>   // std::function
#include <type_traits>  // std::decay_t
#include <utility>      // std::forward; before asio, which in Boost 1.74 uses std::exchange without

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/websocket.hpp>

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class Stream>
concept NeedsTls = requires { typename Stream::handshake_type; };

/// Returns the socket below all layers of a stream.
template <class Stream>
[[nodiscard]] auto& socket_of(Stream& stream) noexcept {
    auto& lowest = boost::beast::get_lowest_layer(stream);
    if constexpr (requires { lowest.socket(); }) {
        return lowest.socket();
    } else {
        return lowest;
    }
}

/// Buffers synchronous writes, and sends them by send_now(), or before the next asynchronous write.
/// Beast writes whole frames one after the other, in both kinds of writes, so no frame is split.
///
/// A system call is most of the cost of a small frame, and an operation of asio is most of the
/// rest. A synchronous write here never blocks and never fails. The caller must bound the buffered
/// bytes, and must call send_now() or start an asynchronous write after them. After
/// write_directly(), an asynchronous write goes to the socket first, which shows whether output
/// waits for space in the kernel.
///
/// Thread safety: the thread that runs the context.
template <class Stream>
class BeastGathered {
    using Error = boost::system::error_code;

public:
    using next_layer_type = Stream;
    using executor_type = typename Stream::executor_type;

    template <class... A>
    explicit BeastGathered(A&&... stream) : next_{std::forward<A>(stream)...} {}

    enum class Event : std::uint8_t {
        /// Beast starts to wait for the end of the stream, and sets no time limit for that wait.
        teardown,
        /// Output was written that the socket had not accepted before. Only after write_directly().
        written
    };
    /// Sets `f`, which is called at each event.
    void on_event(std::function<void(Event)> f) { on_event_ = std::move(f); }
    void notify(Event event) {
        if (on_event_) on_event_(event);
    }

    /// From now on, writes go to the socket itself, which must be non-blocking.
    void write_directly() noexcept
        requires(!NeedsTls<Stream>)
    {
        direct_ = true;
    }

    [[nodiscard]] executor_type get_executor() noexcept { return next_.get_executor(); }
    [[nodiscard]] Stream& next_layer() noexcept { return next_; }
    [[nodiscard]] const Stream& next_layer() const noexcept { return next_; }

    template <class Buffers, class Handler>
    auto async_read_some(const Buffers& buffers, Handler&& handler) {
        return next_.async_read_some(buffers, std::forward<Handler>(handler));
    }
    /// belay never calls it; Beast requires it.
    template <class Buffers>
    std::size_t read_some(const Buffers& buffers) {
        return next_.read_some(buffers);
    }
    template <class Buffers>
    std::size_t read_some(const Buffers& buffers, Error& error) {
        return next_.read_some(buffers, error);
    }
    template <class Buffers>
    std::size_t write_some(const Buffers& buffers) {
        namespace asio = boost::asio;
        const std::size_t size = asio::buffer_size(buffers);
        const std::size_t had = waiting_.size();
        waiting_.resize(had + size);
        return asio::buffer_copy(asio::buffer(waiting_.data() + had, size), buffers);
    }
    template <class Buffers>
    std::size_t write_some(const Buffers& buffers, Error& error) {
        error = {};
        return write_some(buffers);
    }
    /// Sends the buffered bytes as far as the socket accepts them now. The next asynchronous write
    /// sends the rest first.
    ///
    /// Pre: write_directly() was called.
    /// Returns: whether all of them were sent. While an asynchronous write is under way, it sends
    /// nothing, and returns false.
    /// Errors: those of the socket, but not that it accepts nothing now.
    [[nodiscard]] bool send_now(Error& error) {
        error = {};
        if (writing_ || torn_) return false;
        if (waiting_.empty()) return true;
        const std::size_t sent = write_to_socket(boost::asio::buffer(waiting_), error);
        if (error) return false;
        const bool all_sent = sent == waiting_.size();
        if (all_sent) {
            waiting_ = {};
        } else {
            waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(sent));
        }
        if (std::exchange(refused_, !all_sent) && sent != 0) notify(Event::written);
        return all_sent;
    }
    /// Writes the buffered bytes, and then `buffers`.
    template <class Buffers, class Handler>
    void async_write_some(const Buffers& buffers, Handler&& handler) {
        namespace asio = boost::asio;
        const std::size_t size = asio::buffer_size(buffers);
        Sent<std::decay_t<Handler>> sent{this, size, std::forward<Handler>(handler)};
        if constexpr (!NeedsTls<Stream>) {
            if (direct_ && write_at_once(buffers, sent)) return;
        }
        writing_ = true;
        refused_ = direct_;
        // Buffered frames must not be written in the middle of a frame.
        if (waiting_.empty() || torn_)
            return void(next_.async_write_some(buffers, std::move(sent)));
        write_some(buffers);
        leaving_.swap(waiting_);
        asio::async_write(next_, asio::buffer(leaving_), std::move(sent));
    }

private:
    /// Records the result of a write before it calls the handler of the caller.
    template <class Handler>
    struct Sent {
        using executor_type =
            boost::asio::associated_executor_t<Handler, typename Stream::executor_type>;
        using allocator_type = boost::asio::associated_allocator_t<Handler>;

        void operator()(const Error& error, std::size_t written) {
            layer->writing_ = false;
            if (!layer->leaving_.empty()) {
                layer->leaving_ = {};
                written = error ? 0 : size;
            }
            layer->torn_ = !error && written != size;
            if (std::exchange(layer->refused_, false) && written != 0) {
                layer->notify(Event::written);
            }
            handler(error, written);
        }
        [[nodiscard]] executor_type get_executor() const noexcept {
            return boost::asio::get_associated_executor(handler, layer->next_.get_executor());
        }
        [[nodiscard]] allocator_type get_allocator() const noexcept {
            return boost::asio::get_associated_allocator(handler);
        }

        BeastGathered* layer;
        std::size_t size;
        Handler handler;
    };

    /// Returns: how many bytes the socket accepts now.
    template <class Buffers>
    std::size_t write_to_socket(const Buffers& buffers, Error& error) {
        namespace asio = boost::asio;
        const std::size_t sent = socket_of(next_).write_some(buffers, error);
        if (error == asio::error::would_block || error == asio::error::try_again) {
            error = {};
            return 0;
        }
        return sent;
    }
    /// Returns: whether the socket has accepted something, or failed. Then `sent` is called later.
    template <class Buffers, class Op>
    bool write_at_once(const Buffers& buffers, Op& sent) {
        Error error;
        std::size_t written = 0;
        if (torn_ || send_now(error)) written = write_to_socket(buffers, error);
        if (!error && written == 0) return false;
        writing_ = true;
        boost::asio::post(boost::beast::bind_front_handler(std::move(sent), error, written));
        return true;
    }

    Stream next_;
    std::function<void(Event)> on_event_{};
    Bytes waiting_;
    Bytes leaving_;         ///< the bytes of the write that is under way
    bool direct_ = false;   ///< writes go to the socket itself
    bool torn_ = false;     ///< the kernel accepted only a part of a frame
    bool writing_ = false;  ///< an asynchronous write is under way
    bool refused_ = false;  ///< the socket has not accepted what is written next
};

/// The customization points that Beast calls to end a stream.
template <class Stream>
void teardown(boost::beast::role_type role, BeastGathered<Stream>& stream,
              boost::system::error_code& error) {
    using boost::beast::websocket::teardown;
    teardown(role, stream.next_layer(), error);
}
template <class Stream, class Handler>
void async_teardown(boost::beast::role_type role, BeastGathered<Stream>& stream,
                    Handler&& handler) {
    using boost::beast::websocket::async_teardown;
    stream.notify(BeastGathered<Stream>::Event::teardown);
    async_teardown(role, stream.next_layer(), std::forward<Handler>(handler));
}

}}}  // namespace belay::detail
