// SPDX-License-Identifier: MIT
// Clients of a server of rooms, many in one thread, cheap enough that the server is what is measured.
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <belay/yjs/lib0.hpp>
#include <belay/yjs/yjs_update.hpp>

namespace room_bench {

using belay::Bytes;
using belay::BytesView;
using Steady = std::chrono::steady_clock;

/// What clients and servers say: the frames of y-websocket, or those of hocuspocus, in which each
/// names its document.
enum class Dialect { y_websocket, hocuspocus };

/// What is sent to a room's server, and how much of it came.
struct ClientCounts {
    std::uint64_t updates = 0;
    std::uint64_t update_bytes = 0;  ///< their contents
    std::uint64_t awareness_frames = 0;
    std::uint64_t awareness_states = 0;
    std::uint64_t synced = 0;    ///< step 2 that came
    std::uint64_t answered = 0;  ///< step 2 that went
    std::uint64_t bytes = 0;     ///< of the connection, both ways
};

/// What a client has of its room, to begin with.
struct ClientDocument {
    Bytes update{std::byte{0}, std::byte{0}};
    Bytes vector{std::byte{0}};
};

/// One WebSocket to a server on this machine: asks for the upgrade, sends its state vector, answers
/// the server's, and counts.
///
/// Throws: std::runtime_error, when the server closes it.
class Client {
public:
    Client(std::uint16_t port, Dialect dialect, std::string room, ClientCounts& all,
           const ClientDocument& document)
        : dialect_{dialect}, room_{std::move(room)}, all_{&all}, document_{&document} {
        socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int small = 32 << 10;
        const int yes = 1;
        // What a stalled client's kernel takes is nobody's memory.
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
            throw std::runtime_error{"a server accepts no connection"};
        write("GET /" + room_ +
              " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client() { ::close(socket_); }

    [[nodiscard]] int socket() const noexcept { return socket_; }
    [[nodiscard]] const ClientCounts& counts() const noexcept { return counts_; }

    void update(BytesView bytes) { send(room_, {0, 2}, bytes); }
    void awareness(BytesView bytes) { send(room_, {1}, bytes); }
    /// Another document over the same connection.
    void join(const std::string& room) {
        if (dialect_ == Dialect::hocuspocus) send(room, {2, 0}, belay::as_bytes("token"));
        request_state(room);
    }
    /// Asks for the state of a document, which answers all that was said before.
    void request_state(const std::string& room) { send(room, {0, 0}, document_->vector); }
    /// Of another document.
    void update_of(const std::string& room, BytesView bytes) { send(room, {0, 2}, bytes); }

    /// Keeps the updates that come from now on, for a comparison afterwards.
    void keep_updates() { keeps_ = true; }
    [[nodiscard]] const std::vector<Bytes>& kept() const noexcept { return kept_; }
    /// Takes what has come.
    void read() {
        for (;;) {
            std::byte piece[64 << 10];
            const ssize_t n = ::recv(socket_, piece, sizeof piece, MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN) return;
            if (n <= 0) throw std::runtime_error{"a server has closed a client"};
            count(&ClientCounts::bytes, static_cast<std::uint64_t>(n));
            in_.insert(in_.end(), piece, piece + n);
            if (!upgraded_ && !take_upgrade()) return;
            while (take_frame()) {
            }
            in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(at_));
            at_ = 0;
            if (static_cast<std::size_t>(n) < sizeof piece) return;
        }
    }

private:
    void count(std::uint64_t ClientCounts::*what, std::uint64_t more = 1) noexcept {
        counts_.*what += more;
        all_->*what += more;
    }
    void write(std::string_view text) { write(belay::as_bytes(text)); }
    void write(BytesView bytes) {
        count(&ClientCounts::bytes, bytes.size());
        while (!bytes.empty()) {
            const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n < 0) throw std::runtime_error{"a server has closed a client"};
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
    }
    /// A frame with a mask of zeros, which masks nothing.
    void write_frame(unsigned kind, BytesView payload) {
        Bytes out;
        const std::size_t size = payload.size();
        const auto byte = [&](std::size_t b) { out.push_back(static_cast<std::byte>(b & 0xff)); };
        byte(0x80U | kind);
        const int width = size < 126 ? 0 : size < 65'536 ? 2 : 8;
        byte(0x80U | (width == 0 ? size : width == 2 ? 126 : 127));
        for (int i = width; i-- != 0;) byte(size >> (8 * i));
        out.resize(out.size() + 4);
        out.insert(out.end(), payload.begin(), payload.end());
        write(out);
    }
    void send(const std::string& room, std::initializer_list<std::uint64_t> kinds, BytesView body) {
        Bytes out;
        if (dialect_ == Dialect::hocuspocus)
            belay::yjs::append_varbytes(out, belay::as_bytes(room));
        for (const std::uint64_t kind : kinds) belay::yjs::append_varuint(out, kind);
        belay::yjs::append_varbytes(out, body);
        write_frame(2, out);
    }

    bool take_upgrade() {
        const std::string_view text{reinterpret_cast<const char*>(in_.data()), in_.size()};
        const std::size_t end = text.find("\r\n\r\n");
        if (end == std::string_view::npos) return false;
        if (!text.starts_with("HTTP/1.1 101"))
            throw std::runtime_error{"a server refuses a client"};
        upgraded_ = true;
        at_ = end + 4;
        join(room_);
        return true;
    }
    bool take_frame() {
        const std::byte* const p = in_.data() + at_;
        const std::size_t left = in_.size() - at_;
        if (left < 2) return false;
        std::size_t size = static_cast<std::size_t>(p[1]) & 0x7f;
        const std::size_t width = size == 126 ? 2 : size == 127 ? 8 : 0;
        if (left < 2 + width) return false;
        if (width != 0) size = 0;
        for (std::size_t i = 0; i < width; ++i)
            size = size << 8 | static_cast<std::size_t>(p[2 + i]);
        if (left < 2 + width + size) return false;
        at_ += 2 + width + size;
        const BytesView payload{p + 2 + width, size};
        switch (static_cast<unsigned>(p[0]) & 0xf) {
            case 2:
                receive(payload);
                break;
            case 8:
                throw std::runtime_error{"a server closed a client with a close frame"};
            case 9:
                write_frame(10, payload);
                break;
            default:
                break;
        }
        return true;
    }
    void receive(BytesView message) {
        belay::yjs::Lib0Reader in{message};
        std::string room = room_;
        if (dialect_ == Dialect::hocuspocus) room = in.varstring();
        switch (in.varuint()) {
            case 0:
            case 4: {
                const std::uint64_t step = in.varuint();
                return receive_sync(room, step, in.varbytes());
            }
            case 1: {
                belay::yjs::Lib0Reader states{in.varbytes()};
                count(&ClientCounts::awareness_frames);
                return count(&ClientCounts::awareness_states, states.varuint());
            }
            case 3:
                return send(room, {1}, Bytes(1));
            default:
                return;
        }
    }
    void receive_sync(const std::string& room, std::uint64_t step, BytesView payload) {
        if (step == 2) {
            if (keeps_) kept_.emplace_back(payload.begin(), payload.end());
            count(&ClientCounts::update_bytes, payload.size());
            return count(&ClientCounts::updates);
        }
        if (step == 1) return count(&ClientCounts::synced);
        const auto missing = belay::yjs::diff_update(document_->update, payload);
        if (!missing) throw std::runtime_error{"a server has no state vector"};
        send(room, {0, 1}, *missing);
        count(&ClientCounts::answered);
    }

    Dialect dialect_;
    std::string room_;
    ClientCounts* all_;
    const ClientDocument* document_;
    int socket_ = -1;
    bool upgraded_ = false;
    Bytes in_;
    std::size_t at_ = 0;
    ClientCounts counts_;
    bool keeps_ = false;
    std::vector<Bytes> kept_;
};

/// The clients of one server.
///
/// Throws: std::runtime_error, when a client's server is not as it should be, or takes too long.
class LoadClients {
public:
    LoadClients(std::uint16_t port, Dialect dialect)
        : port_{port}, dialect_{dialect}, epoll_{::epoll_create1(EPOLL_CLOEXEC)} {}
    LoadClients(const LoadClients&) = delete;
    LoadClients& operator=(const LoadClients&) = delete;
    ~LoadClients() {
        clients_.clear();
        ::close(epoll_);
    }

    /// `document` must outlive it.
    Client& dial(const std::string& room, const ClientDocument& document = nothing()) {
        clients_.push_back(std::make_unique<Client>(port_, dialect_, room, counts_, document));
        Client& client = *clients_.back();
        watch(client, EPOLL_CTL_ADD);
        return client;
    }
    /// So many more in a room, a few at a time; until all have its state.
    void fill(const std::string& room, std::size_t count) {
        for (std::size_t done = 0; done < count;) {
            const std::size_t some = std::min<std::size_t>(count - done, 50);
            const std::uint64_t before = counts_.synced;
            for (std::size_t i = 0; i < some; ++i) dial(room);
            until([&] { return counts_.synced >= before + some; });
            done += some;
        }
    }
    /// Only the first stay.
    void keep(std::size_t count) { clients_.resize(count); }
    /// It reads no more.
    void stall(const Client& client) { watch(client, EPOLL_CTL_DEL); }

    [[nodiscard]] Client& operator[](std::size_t i) { return *clients_[i]; }
    [[nodiscard]] const ClientCounts& counts() const noexcept { return counts_; }

    template <class F>
    void until(F done) {
        const auto latest = Steady::now() + std::chrono::seconds{30};
        while (!done()) {
            if (Steady::now() > latest) throw std::runtime_error{"a server takes too long"};
            turn(100);
        }
    }
    /// Until nothing comes for so long.
    void until_quiet(int milliseconds) {
        while (turn(milliseconds)) {
        }
    }

private:
    [[nodiscard]] static const ClientDocument& nothing() {
        static const ClientDocument empty;
        return empty;
    }
    void watch(const Client& client, int how) const {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = const_cast<Client*>(&client);
        ::epoll_ctl(epoll_, how, client.socket(), &event);
    }
    bool turn(int milliseconds) {
        epoll_event events[256];
        const int n = ::epoll_wait(epoll_, events, 256, milliseconds);
        for (int i = 0; i < n; ++i) static_cast<Client*>(events[i].data.ptr)->read();
        return n > 0;
    }

    std::uint16_t port_;
    Dialect dialect_;
    int epoll_;
    ClientCounts counts_;
    std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace room_bench
