// SPDX-License-Identifier: MIT
// A server of one small page, and libcurl's multi handle by hand, both on the loop of who asks.
#pragma once

#include <curl/curl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <belay/posix/loop.hpp>

namespace belay_bench {

/// Answers each request with 200 letters, and keeps connections.
class PageServer {
public:
    explicit PageServer(belay::posix::Loop<>& loop)
        : loop_{loop},
          listener_{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)},
          watch_{loop, this, [](void* self, short) { static_cast<PageServer*>(self)->accept(); }} {
        sockaddr_in here{};
        here.sin_family = AF_INET;
        here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof here;
        auto* const address = reinterpret_cast<sockaddr*>(&here);
        if (::bind(listener_, address, size) != 0 || ::listen(listener_, 256) != 0 ||
            ::getsockname(listener_, address, &size) != 0) {
            throw std::runtime_error{"no port"};
        }
        url = "http://127.0.0.1:" + std::to_string(ntohs(here.sin_port)) + "/page";
        watch_.start(listener_, POLLIN);
    }
    PageServer(const PageServer&) = delete;
    PageServer& operator=(const PageServer&) = delete;
    ~PageServer() {
        watch_.stop();
        ::close(listener_);
    }

    std::string url{};

private:
    struct ServedConnection {
        ServedConnection(PageServer& s, int fd)
            : server{s}, socket{fd}, watch{s.loop_, this, [](void* self, short) {
                                               static_cast<ServedConnection*>(self)->read();
                                           }} {
            watch.start(fd, POLLIN);
        }
        ~ServedConnection() {
            watch.stop();
            ::close(socket);
        }
        void read() {
            char bytes[4096];
            const ssize_t n = ::recv(socket, bytes, sizeof bytes, 0);
            if (n <= 0) return server.leave(*this);
            // Requests are small, and one at a time.
            static const std::string page =
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 200\r\n\r\n" +
                std::string(200, 'x');
            static_cast<void>(::send(socket, page.data(), page.size(), MSG_NOSIGNAL));
        }
        PageServer& server;
        int socket;
        belay::posix::Watch watch;
    };

    void accept() {
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) served_connections_.push_back(std::make_unique<ServedConnection>(*this, fd));
    }
    void leave(ServedConnection& served) {
        std::erase_if(served_connections_, [&](const auto& g) { return g.get() == &served; });
    }

    belay::posix::Loop<>& loop_;
    int listener_;
    belay::posix::Watch watch_;
    std::vector<std::unique_ptr<ServedConnection>> served_connections_;
};

/// As libcurl's examples do it: an easy handle for each request, descriptors and one timer.
class CurlByHand {
public:
    using Done = std::function<void(int status, std::string body)>;

    explicit CurlByHand(belay::posix::Loop<>& loop) : loop_{loop}, multi_{curl_multi_init()} {
        curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
        curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &on_socket);
        curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
        curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &on_timer);
    }
    CurlByHand(const CurlByHand&) = delete;
    CurlByHand& operator=(const CurlByHand&) = delete;
    ~CurlByHand() { curl_multi_cleanup(multi_); }

    void get(const std::string& url, Done done) {
        auto request = std::make_unique<Request>(Request{curl_easy_init(), {}, std::move(done)});
        curl_easy_setopt(request->easy, CURLOPT_URL, url.c_str());
        curl_easy_setopt(request->easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(request->easy, CURLOPT_TIMEOUT_MS, 30'000L);
        curl_easy_setopt(request->easy, CURLOPT_ACCEPT_ENCODING, "");
        curl_easy_setopt(request->easy, CURLOPT_WRITEFUNCTION, &on_body);
        curl_easy_setopt(request->easy, CURLOPT_WRITEDATA, request.get());
        curl_easy_setopt(request->easy, CURLOPT_PRIVATE, request.get());
        curl_multi_add_handle(multi_, request.release()->easy);
    }

private:
    struct Request {
        CURL* easy;
        std::string body;
        Done done;
    };
    struct Socket {
        Socket(CurlByHand& c, curl_socket_t s)
            : curl{c}, socket{s}, watch{c.loop_, this, [](void* self, short revents) {
                                            const Socket& at = *static_cast<Socket*>(self);
                                            int events = 0;
                                            if ((revents & (POLLIN | POLLHUP)) != 0)
                                                events |= CURL_CSELECT_IN;
                                            if ((revents & POLLOUT) != 0)
                                                events |= CURL_CSELECT_OUT;
                                            at.curl.act(at.socket, events);
                                        }} {}
        CurlByHand& curl;
        curl_socket_t socket;
        belay::posix::Watch watch;
    };

    static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) {
        static_cast<Request*>(self)->body.append(data, size);
        return size;
    }
    static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void* known) {
        auto& curl = *static_cast<CurlByHand*>(self);
        auto* at = static_cast<Socket*>(known);
        if (what == CURL_POLL_REMOVE) return delete at, 0;
        const auto events = static_cast<short>(((what & CURL_POLL_IN) != 0 ? POLLIN : 0) |
                                               ((what & CURL_POLL_OUT) != 0 ? POLLOUT : 0));
        if (at != nullptr) return at->watch.modify(events), 0;
        at = new Socket{curl, socket};
        at->watch.start(socket, events);
        curl_multi_assign(curl.multi_, socket, at);
        return 0;
    }
    static int on_timer(CURLM*, long milliseconds, void* self) {
        auto& curl = *static_cast<CurlByHand*>(self);
        curl.timer_.cancel();
        if (milliseconds < 0) return 0;
        curl.timer_ = curl.loop_.after(std::chrono::milliseconds{milliseconds},
                                       [&curl] { curl.act(CURL_SOCKET_TIMEOUT, 0); });
        return 0;
    }
    void act(curl_socket_t socket, int events) {
        int left = 0;
        curl_multi_socket_action(multi_, socket, events, &left);
        while (CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
            CURL* const easy = message->easy_handle;
            long status = 0;
            char* place = nullptr;
            curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
            curl_easy_getinfo(easy, CURLINFO_PRIVATE, &place);
            const std::unique_ptr<Request> request{
                static_cast<Request*>(static_cast<void*>(place))};
            curl_multi_remove_handle(multi_, easy);
            curl_easy_cleanup(easy);
            request->done(static_cast<int>(status), std::move(request->body));
        }
    }

    belay::posix::Loop<>& loop_;
    CURLM* multi_;
    belay::Timer timer_{};
};

}  // namespace belay_bench
