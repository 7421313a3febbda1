// SPDX-License-Identifier: MIT
// Goal: unmodified code that calls the C library runs in a world as on Linux. Method: programs that
// wait in each of its functions, in virtual time. The same calls outside of programs are real.
#include <belay/libc_sim/program.hpp>

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include <belay/sim/explore.hpp>
#include <belay/sim/world.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

// The names to which open() is mapped with -D_FORTIFY_SOURCE, and stat() with an older glibc.
extern "C" int __open_2(const char*, int);
extern "C" int __xstat(int, const char*, struct stat*);
// The name to which signal() is mapped without the extensions of GNU and BSD.
extern "C" sighandler_t __sysv_signal(int, sighandler_t);

namespace libc_sim_test {

namespace {

using belay::sim::Host;
using belay::sim::Program;
using belay::sim::World;
using namespace std::chrono_literals;

/// A world in which each host runs a program.
struct Programs {
    World world{belay::Seed{1}};

    template <class F>
    Host& run(const char* name, F main) {
        return run_in(world, name, main);
    }
    template <class F>
    static Host& run_in(World& world, const char* name, F main) {
        return world.host(name, [main](Host& h) { return std::make_unique<Program>(h, main); });
    }
    static std::optional<int> exit_code(Host& host) { return host.process<Program>()->exit_code(); }
};

sockaddr_in address(const char* ip, unsigned short port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    inet_pton(AF_INET, ip, &out.sin_addr);
    return out;
}
int connect_to(int fd, const char* ip, unsigned short port) {
    const sockaddr_in to = address(ip, port);
    return connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
}
int tcp_socket(int flags = 0) { return socket(AF_INET, SOCK_STREAM | flags, 0); }
int listen_at(unsigned short port, int flags = 0) {
    const int fd = tcp_socket(flags);
    const int on = 1;
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    const sockaddr_in at = address("0.0.0.0", port);
    CHECK(bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    CHECK(listen(fd, 16) == 0);
    return fd;
}
/// Returns the bytes that arrive until the peer ends.
std::string receive_all(int fd) {
    std::string all;
    char part[16];
    for (ssize_t n = 0; (n = recv(fd, part, sizeof part, 0)) > 0;) {
        all.append(part, static_cast<std::size_t>(n));
    }
    return all;
}
void send_text(int fd, const std::string& text) {
    CHECK(send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
}
/// Serves one client after another, and sends back its bytes.
void serve_echo() {
    const int listener = listen_at(7);
    for (;;) {
        const int guest = accept(listener, nullptr, nullptr);
        char part[64];
        for (ssize_t n = 0; (n = read(guest, part, sizeof part)) > 0;) {
            CHECK(write(guest, part, static_cast<std::size_t>(n)) == n);
        }
        close(guest);
    }
}

}  // namespace

TEST_CASE("A program of a world sleeps in virtual time", "[libc_sim][program][sim]") {
    Programs p;
    Host& host = p.run("host", [] {
        const auto steady = std::chrono::steady_clock::now();
        const auto wall = std::chrono::system_clock::now();
        std::this_thread::sleep_for(1h);
        CHECK(std::chrono::steady_clock::now() - steady == 1h);
        CHECK(std::chrono::system_clock::now() - wall == 1h);
        const std::time_t seconds = time(nullptr);
        timespec end{};
        clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += 10;
        CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, nullptr) == 0);
        CHECK(usleep(500'000) == 0);
        CHECK(sleep(1) == 0);
        CHECK(time(nullptr) - seconds == 11);
        timeval now{};
        CHECK(gettimeofday(&now, nullptr) == 0);
        CHECK(now.tv_usec == 500'000);
        const timespec wrong{.tv_sec = 0, .tv_nsec = 1'000'000'000};
        CHECK(nanosleep(&wrong, nullptr) == -1);
        CHECK(errno == EINVAL);
        return 7;
    });
    p.world.run_for(1h + 11s);
    CHECK_FALSE(Programs::exit_code(host));
    p.world.run_for(500ms);
    CHECK(Programs::exit_code(host) == 7);
}

TEST_CASE("Outside of programs the C library is the real one", "[libc_sim][program][unit]") {
    const int listener = tcp_socket();
    REQUIRE(listener >= 0);
    sockaddr_in at = address("127.0.0.1", 0);
    socklen_t size = sizeof at;
    REQUIRE(bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(listen(listener, 1) == 0);
    REQUIRE(getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) == 0);
    const int client = tcp_socket();
    REQUIRE(connect(client, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    const int server = accept(listener, nullptr, nullptr);
    send_text(client, "real");
    shutdown(client, SHUT_WR);
    CHECK(receive_all(server) == "real");
    for (const int fd : {listener, client, server}) close(fd);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    if (child == 0) _exit(write(ends[1], "x", 1) == 1 ? 3 : 4);
    char x = 0;
    CHECK(read(ends[0], &x, 1) == 1);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == 3);
    close(ends[0]);
    close(ends[1]);
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    std::thread other{[&] {
        const std::lock_guard lock{mutex};
        done = true;
        changed.notify_one();
    }};
    std::unique_lock lock{mutex};
    changed.wait(lock, [&] { return done; });
    CHECK_FALSE(changed.wait_for(lock, 1ms, [] { return false; }));
    lock.unlock();
    other.join();
}

TEST_CASE("Programs of a world exchange bytes over blocking sockets", "[libc_sim][program][sim]") {
    Programs p;
    p.run("server", serve_echo);
    Host& client = p.run("client", [] {
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* found = nullptr;
        REQUIRE(getaddrinfo("server", "7", &hints, &found) == 0);
        const int fd = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
        REQUIRE(connect(fd, found->ai_addr, found->ai_addrlen) == 0);
        freeaddrinfo(found);
        sockaddr_in peer{};
        socklen_t size = sizeof peer;
        CHECK(getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0);
        CHECK(ntohl(peer.sin_addr.s_addr) == 0x0A000001);
        CHECK(ntohs(peer.sin_port) == 7);
        send_text(fd, "hello ");
        send_text(fd, "world");
        CHECK(shutdown(fd, SHUT_WR) == 0);
        char first[6]{};
        CHECK(recv(fd, first, 5, MSG_PEEK) > 0);
        CHECK(receive_all(fd) == "hello world");
        CHECK(close(fd) == 0);
        CHECK(close(fd) == -1);
        CHECK(errno == EBADF);
        return 0;
    });
    p.world.run_for(1s);
    CHECK(Programs::exit_code(client) == 0);
}

TEST_CASE("bind to port 0 finds a free port each time", "[libc_sim][program][regression]") {
    Programs p;
    p.run("server", [] {
        const int listener = listen_at(80);
        for (;;) static_cast<void>(accept(listener, nullptr, nullptr));
    });
    Host& client = p.run("client", [] {
        sleep(1);
        const sockaddr_in any = address("0.0.0.0", 0);
        for (const int reuses : {0, 1}) {
            int sockets[3] = {};
            for (int& fd : sockets) {
                fd = tcp_socket();
                CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuses, sizeof reuses) == 0);
                CHECK(bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0);
                if (&fd == sockets) continue;  // it only has its port
                CHECK(connect_to(fd, "10.0.0.1", 80) == 0);
            }
            // The ports of the connections stay in use for 60 s.
            for (const int fd : sockets) CHECK(close(fd) == 0);
        }
    });
    p.world.run_for(5s);
    CHECK(Programs::exit_code(client) == 0);
}

TEST_CASE("A blocking connect that a signal has interrupted goes on in the next call",
          "[libc_sim][program][regression]") {
    Programs p;
    p.run("server", [] {
        static_cast<void>(listen_at(80));
        sleep(20);
    });
    Host& client = p.run("client", [] {
        sleep(1);
        const int fd = tcp_socket();
        CHECK(connect_to(fd, "10.0.0.1", 80) == -1);
        CHECK(errno == EINTR);
        const timeval second{.tv_sec = 1, .tv_usec = 0};
        CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second) == 0);
        CHECK(connect_to(fd, "10.0.0.1", 80) == -1);
        CHECK(errno == EALREADY);
        const timeval none{};
        CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none) == 0);
        CHECK(connect_to(fd, "10.0.0.1", 80) == 0);
        CHECK(connect_to(fd, "10.0.0.1", 80) == -1);
        CHECK(errno == EISCONN);
    });
    p.world.play(belay::sim::Scenario{}
                     .during(500ms, 5s, belay::sim::partition("client", "server"))
                     .at(2s, belay::sim::interrupt("client")));
    p.world.run_for(15s);
    CHECK(Programs::exit_code(client) == 0);
}

TEST_CASE("A send that a reset has cut short leaves the error to the next call",
          "[libc_sim][program][regression]") {
    Programs p;
    p.run("server", [] {
        const int guest = accept(listen_at(80), nullptr, nullptr);
        sleep(2);
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        CHECK(setsockopt(guest, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
        CHECK(close(guest) == 0);
    });
    Host& client = p.run("client", [] {
        sleep(1);
        const int fd = tcp_socket();
        CHECK(connect_to(fd, "10.0.0.1", 80) == 0);
        const std::string all(1'000'000, 'x');
        // As on Linux 6.18. Without a handler, SIGPIPE ends the program.
        const ssize_t sent = send(fd, all.data(), all.size(), 0);
        CHECK((0 < sent && sent < 1'000'000));
        CHECK(send(fd, "x", 1, 0) == -1);
        CHECK(errno == ECONNRESET);
        CHECK(send(fd, "x", 1, MSG_NOSIGNAL) == -1);
        CHECK(errno == EPIPE);
    });
    p.world.run_for(10s);
    CHECK(Programs::exit_code(client) == 0);
}

TEST_CASE("getaddrinfo fails after 10 s for a name whose look-ups hang",
          "[libc_sim][program][sim]") {
    Programs p;
    Host& host = p.run("host", [] {
        addrinfo* found = nullptr;
        const std::time_t begins = std::time(nullptr);
        // As glibc 2.36, if no server of names answers.
        CHECK(getaddrinfo("host", "1", nullptr, &found) == EAI_AGAIN);
        CHECK(std::time(nullptr) - begins == 10);
        CHECK(getaddrinfo("localhost", "1", nullptr, &found) == 0);
        CHECK(std::time(nullptr) - begins == 10);
        freeaddrinfo(found);
    });
    p.world.network().hanging_name(host);
    p.world.run_for(20s);
    CHECK(Programs::exit_code(host) == 0);
}

TEST_CASE("getaddrinfo answers from the names of the world", "[libc_sim][program][sim]") {
    Programs p;
    Host& host = p.run("host", [] {
        addrinfo* found = nullptr;
        CHECK(getaddrinfo("nobody", "1", nullptr, &found) == EAI_NONAME);
        CHECK(getaddrinfo("host", "nothing", nullptr, &found) == EAI_SERVICE);
        CHECK(getaddrinfo(nullptr, nullptr, nullptr, &found) == EAI_NONAME);
        addrinfo hints{};
        hints.ai_family = AF_INET6;
        CHECK(getaddrinfo("host", "1", &hints, &found) == EAI_ADDRFAMILY);
        const std::vector<std::pair<const char*, const char*>> names{
            {"host", "10.0.0.1"}, {"localhost", "127.0.0.1"}, {"10.9.8.7", "10.9.8.7"}};
        for (const auto& [name, expected] : names) {
            REQUIRE(getaddrinfo(name, "http", nullptr, &found) == 0);
            char text[32];
            const auto* in = reinterpret_cast<const sockaddr_in*>(found->ai_addr);
            CHECK(std::string{inet_ntop(AF_INET, &in->sin_addr, text, sizeof text)} == expected);
            CHECK(ntohs(in->sin_port) == 80);
            freeaddrinfo(found);
        }
        char name[16];
        CHECK(gethostname(name, sizeof name) == 0);
        CHECK(std::string{name} == "host");
        return 0;
    });
    p.world.run_for(1s);
    CHECK(Programs::exit_code(host) == 0);
}

TEST_CASE("Errors of sockets of a program are those of Linux", "[libc_sim][program][sim]") {
    Programs p;
    p.run("server", serve_echo);
    p.run("silent", [] {
        listen_at(7);
        std::this_thread::sleep_for(24h);
    });
    Host& client = p.run("client", [] {
        int error = 0;
        int fd = tcp_socket();
        CHECK(send(fd, "x", 1, MSG_NOSIGNAL) == -1);
        CHECK(errno == EPIPE);
        CHECK(connect_to(fd, "10.0.0.1", 8) == -1);
        CHECK(errno == ECONNREFUSED);
        CHECK(connect_to(fd, "10.9.9.9", 8) == -1);
        CHECK(errno == EHOSTUNREACH);
        fd = tcp_socket(SOCK_NONBLOCK);
        CHECK(connect_to(fd, "10.0.0.1", 8) == -1);
        CHECK(errno == EINPROGRESS);
        CHECK(connect_to(fd, "10.0.0.1", 8) == -1);
        CHECK(errno == EALREADY);
        CHECK(recv(fd, &error, 1, 0) == -1);
        CHECK(errno == EAGAIN);
        CHECK(send(fd, "x", 1, MSG_NOSIGNAL) == -1);
        CHECK(errno == EAGAIN);
        pollfd entry{fd, POLLOUT, 0};
        CHECK(poll(&entry, 1, -1) == 1);
        CHECK(entry.revents == (POLLOUT | POLLERR | POLLHUP));
        socklen_t size = sizeof error;
        CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
        CHECK(error == ECONNREFUSED);
        CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
        CHECK(error == 0);
        CHECK(send(fd, "x", 1, MSG_NOSIGNAL) == -1);
        CHECK(errno == EPIPE);

        fd = tcp_socket();
        REQUIRE(connect_to(fd, "10.0.0.2", 7) == 0);
        const timeval limit{.tv_sec = 2, .tv_usec = 0};
        CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
        const auto start = std::chrono::steady_clock::now();
        char x = 0;
        CHECK(recv(fd, &x, 1, 0) == -1);
        CHECK(errno == EAGAIN);
        CHECK(std::chrono::steady_clock::now() - start == 2s);
        CHECK(recv(fd, &x, 1, MSG_DONTWAIT) == -1);
        CHECK(errno == EAGAIN);
        // A writer waits for a reader.
        const timeval send_limit{.tv_sec = 5, .tv_usec = 0};
        CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send_limit, sizeof send_limit) == 0);
        const std::string much(1'000'000, 'x');
        const ssize_t sent = send(fd, much.data(), much.size(), MSG_NOSIGNAL);
        CHECK(sent > 10'000);
        CHECK(sent < 100'000);
        CHECK(std::chrono::steady_clock::now() - start == 7s);
        CHECK(socket(AF_INET6, SOCK_STREAM, 0) == -1);
        CHECK(errno == EAFNOSUPPORT);
        return 0;
    });
    p.world.run_for(1h);
    CHECK(Programs::exit_code(client) == 0);
}

TEST_CASE("Data that a program has only peeked at resets its connection",
          "[libc_sim][program][regression]") {
    const bool closes = GENERATE(true, false);  // or it is killed
    Programs p;
    Host& server = p.run("server", [closes] {
        const int guest = accept(listen_at(7), nullptr, nullptr);
        char x = 0;
        CHECK(recv(guest, &x, 1, MSG_PEEK) == 1);
        if (closes) close(guest);
        sleep(3600);
    });
    p.world.after(1min, [&] { p.world.kill(server); });
    Host& client = p.run("client", [] {
        const int fd = tcp_socket();
        REQUIRE(connect_to(fd, "10.0.0.1", 7) == 0);
        send_text(fd, "x");
        char x = 0;
        CHECK(recv(fd, &x, 1, 0) == -1);
        CHECK(errno == ECONNRESET);
        return 0;
    });
    p.world.run_for(2min);
    CHECK(Programs::exit_code(client) == 0);
}

TEST_CASE("SO_SNDTIMEO limits a whole call of a program", "[libc_sim][program][regression]") {
    Programs p;
    p.run("server", [] {
        const int guest = accept(listen_at(7), nullptr, nullptr);
        for (std::string part(20'000, ' '); read(guest, part.data(), part.size()) > 0;) sleep(1);
    });
    Host& client = p.run("client", [] {
        const int fd = tcp_socket();
        REQUIRE(connect_to(fd, "10.0.0.1", 7) == 0);
        const timeval limit{.tv_sec = 5, .tv_usec = 0};
        CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
        const std::string much(1'000'000, 'x');
        const auto start = std::chrono::steady_clock::now();
        CHECK(send(fd, much.data(), much.size(), MSG_NOSIGNAL) < 500'000);
        CHECK(std::chrono::steady_clock::now() - start == 5s);
        return 0;
    });
    p.world.run_for(1h);
    CHECK(Programs::exit_code(client) == 0);
}

TEST_CASE("poll and select wait for many descriptors", "[libc_sim][program][sim]") {
    Programs p;
    p.run("server", serve_echo);
    Host& client = p.run("client", [] {
        const auto start = std::chrono::steady_clock::now();
        CHECK(poll(nullptr, 0, 250) == 0);
        CHECK(std::chrono::steady_clock::now() - start == 250ms);
        const int fd = tcp_socket();
        REQUIRE(connect_to(fd, "10.0.0.1", 7) == 0);
        pollfd entries[3] = {{fd, POLLIN | POLLOUT, 0}, {-1, POLLIN, 0}, {99, POLLIN, 0}};
        CHECK(poll(entries, 3, -1) == 2);
        CHECK(entries[0].revents == POLLOUT);
        CHECK(entries[1].revents == 0);
        CHECK(entries[2].revents == POLLNVAL);
        CHECK(poll(entries, 1, 0) == 1);
        send_text(fd, "x");
        entries[0].events = POLLIN;
        const timespec second{.tv_sec = 1, .tv_nsec = 0};
        CHECK(ppoll(entries, 1, &second, nullptr) == 1);
        CHECK(entries[0].revents == POLLIN);
        fd_set reads, writes;
        FD_ZERO(&reads);
        FD_ZERO(&writes);
        FD_SET(fd, &reads);
        FD_SET(fd, &writes);
        CHECK(select(fd + 1, &reads, &writes, nullptr, nullptr) == 2);
        char x = 0;
        CHECK(recv(fd, &x, 1, 0) == 1);
        FD_ZERO(&writes);
        timeval brief{.tv_sec = 0, .tv_usec = 1000};
        CHECK(select(fd + 1, &reads, nullptr, nullptr, &brief) == 0);
        CHECK_FALSE(FD_ISSET(fd, &reads));
        return 0;
    });
    p.world.run_for(10s);
    CHECK(Programs::exit_code(client) == 0);
}

TEST_CASE("epoll reports levels, edges and one shot", "[libc_sim][program][sim]") {
    Programs p;
    Host& host = p.run("host", [] {
        const int epoll = epoll_create1(EPOLL_CLOEXEC);
        const int counter = eventfd(0, EFD_NONBLOCK);
        const auto watch = [&](int operation, std::uint32_t events) {
            epoll_event event{};
            event.events = events;
            event.data.fd = counter;
            return epoll_ctl(epoll, operation, counter, &event);
        };
        epoll_event out[4];
        const auto wait = [&] { return epoll_wait(epoll, out, 4, 10); };
        const std::uint64_t one = 1;
        const auto raise = [&] { CHECK(write(counter, &one, sizeof one) == sizeof one); };
        REQUIRE(watch(EPOLL_CTL_ADD, EPOLLIN) == 0);
        CHECK(watch(EPOLL_CTL_ADD, EPOLLIN) == -1);
        CHECK(errno == EEXIST);
        CHECK(wait() == 0);
        raise();
        CHECK(wait() == 1);
        CHECK(out[0].events == EPOLLIN);
        CHECK(out[0].data.fd == counter);
        CHECK(wait() == 1);  // level-triggered
        CHECK(watch(EPOLL_CTL_MOD, EPOLLIN | EPOLLET) == 0);
        CHECK(wait() == 1);  // one event
        CHECK(wait() == 0);
        raise();
        CHECK(wait() == 1);
        CHECK(watch(EPOLL_CTL_MOD, EPOLLIN | EPOLLONESHOT) == 0);
        CHECK(wait() == 1);
        raise();
        CHECK(wait() == 0);
        CHECK(watch(EPOLL_CTL_DEL, 0) == 0);
        CHECK(watch(EPOLL_CTL_DEL, 0) == -1);
        CHECK(errno == ENOENT);
        std::uint64_t count = 0;
        CHECK(read(counter, &count, sizeof count) == sizeof count);
        CHECK(count == 3);
        CHECK(read(counter, &count, sizeof count) == -1);
        CHECK(errno == EAGAIN);
        REQUIRE(watch(EPOLL_CTL_ADD, EPOLLOUT) == 0);
        CHECK(wait() == 1);
        close(counter);  // ends the watch
        CHECK(wait() == 0);
        return 0;
    });
    p.world.run_for(10s);
    CHECK(Programs::exit_code(host) == 0);
}

TEST_CASE("A timer of a program expires in virtual time", "[libc_sim][program][sim]") {
    Programs p;
    Host& host = p.run("host", [] {
        const int timer = timerfd_create(CLOCK_MONOTONIC, 0);
        const auto start = std::chrono::steady_clock::now();
        itimerspec every{{.tv_sec = 2, .tv_nsec = 0}, {.tv_sec = 1, .tv_nsec = 0}};
        CHECK(timerfd_settime(timer, 0, &every, nullptr) == 0);
        std::uint64_t times = 0;
        CHECK(read(timer, &times, sizeof times) == sizeof times);  // it waits
        CHECK(times == 1);
        CHECK(std::chrono::steady_clock::now() - start == 1s);
        sleep(5);
        CHECK(read(timer, &times, sizeof times) == sizeof times);
        CHECK(times == 2);  // at 3 and 5 s
        itimerspec left{};
        CHECK(timerfd_gettime(timer, &left) == 0);
        CHECK(left.it_value.tv_sec == 1);
        const itimerspec off{};
        CHECK(timerfd_settime(timer, 0, &off, &left) == 0);
        pollfd entry{timer, POLLIN, 0};
        CHECK(poll(&entry, 1, 60'000) == 0);
        itimerspec at{};
        clock_gettime(CLOCK_MONOTONIC, &at.it_value);
        at.it_value.tv_sec += 3;
        CHECK(timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, nullptr) == 0);
        CHECK(poll(&entry, 1, 2'999) == 0);
        CHECK(poll(&entry, 1, 1) == 1);
        return 0;
    });
    p.world.run_for(2min);
    CHECK(Programs::exit_code(host) == 0);
}

TEST_CASE("Random bits of programs come from the seed", "[libc_sim][program][sim]") {
    const auto draw = [](std::uint64_t seed) {
        std::vector<std::uint64_t> all;
        World world{belay::Seed{seed}};
        world.host("host", [&all](Host& h) {
            return std::make_unique<Program>(h, [&all] {
                std::uint64_t bits = 0;
                CHECK(getentropy(&bits, sizeof bits) == 0);
                all.push_back(bits);
                std::random_device device;
                all.push_back(device());
                const int fd = open("/dev/urandom", O_RDONLY);
                CHECK(read(fd, &bits, sizeof bits) == sizeof bits);
                close(fd);
                all.push_back(bits);
            });
        });
        world.run_for(1s);
        return all;
    };
    const auto first = draw(1);
    CHECK(first.size() == 3);
    CHECK(draw(1) == first);
    CHECK(draw(2) != first);
}

TEST_CASE("A world rejects calls that its programs must not make, and names them",
          "[libc_sim][program][sim]") {
    const auto refusal = [](std::function<void()> main) -> std::string {
        Programs p;
        p.run("host", std::move(main));
        try {
            p.world.run_for(1min);
        } catch (const std::logic_error& e) {
            return e.what();
        }
        return {};
    };
    const std::string who = "sim::Program on \"host\" ";
    CHECK(refusal([] { std::thread{[] {}}.join(); }) ==
          who + "called \"pthread_create\", which a world does not have: a program has one thread");
    CHECK(refusal([] { static_cast<void>(fork()); }) ==
          who + "called \"fork\", which a world does not have");
    CHECK(refusal([] { syscall(39); }) ==
          who + "called \"syscall\" with SYS_getpid, which a world does not have");
    CHECK(refusal([] { static_cast<void>(freopen("/etc/hosts", "r", stdin)); }) ==
          who + "called \"freopen\", which a world does not have");
    const std::string only_tcp = ", but a world has TCP over IPv4 only";
    CHECK(refusal([] { socket(AF_INET, SOCK_DGRAM, 0); }) ==
          who + "called \"socket\" with AF_INET and SOCK_DGRAM" + only_tcp);
    CHECK(refusal([] { socket(AF_UNIX, SOCK_STREAM, 0); }) ==
          who + "called \"socket\" with AF_UNIX and SOCK_STREAM" + only_tcp);
    CHECK(refusal([] { socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }) ==
          who + "called \"socket\" with AF_INET and SOCK_RAW" + only_tcp);
    CHECK(refusal([] {
              addrinfo hints{}, *found = nullptr;
              hints.ai_socktype = SOCK_DGRAM;
              getaddrinfo("localhost", "80", &hints, &found);
          }) == who + "called \"getaddrinfo\" with SOCK_DGRAM" + only_tcp);
    const std::string waits =
        who + "waits for another thread by \"futex\", but a program of a world has one thread";
    CHECK(refusal([] { std::promise<int>{}.get_future().wait_for(1s); }) == waits);
    CHECK(refusal([] { std::atomic<int>{0}.wait(0); }) == waits);
    CHECK(refusal([] { static_cast<void>(std::async(std::launch::async, [] {})); }) ==
          who + "called \"pthread_create\", which a world does not have: a program has one thread");
    CHECK(refusal([] {
              const auto end = std::chrono::steady_clock::now() + 1s;
              while (std::chrono::steady_clock::now() < end) continue;
          }).find("calls at one instant") != std::string::npos);
    CHECK(refusal([] {
              const int listener = listen_at(7);
              const int fd = tcp_socket();
              connect_to(fd, "127.0.0.1", 7);
              close(accept(listener, nullptr, nullptr));
              for (;;) {
                  sleep(1);
                  if (write(fd, "x", 1) < 0) return;
              }
          }).find("SIGPIPE") != std::string::npos);
    CHECK(refusal([] {
              char x = 0;
              for (const int fd = tcp_socket(SOCK_NONBLOCK); recv(fd, &x, 1, 0) < 0;) continue;
          }).find("calls at one instant") != std::string::npos);
    CHECK(refusal([] {
              int ends[2];
              static_cast<void>(pipe(ends));
              close(ends[0]);
              static_cast<void>(write(ends[1], "x", 1));
          }).find("SIGPIPE") != std::string::npos);
    CHECK(
        refusal([] {
            std::mutex mutex;
            std::unique_lock lock{mutex};
            std::condition_variable{}.wait(lock);
        }) ==
        who +
            "called \"pthread_cond_wait\", which a world does not have: a program has one thread");
    CHECK(refusal([] {
              pthread_barrier_t barrier;
              pthread_barrier_init(&barrier, nullptr, 2);
              pthread_barrier_wait(&barrier);
          }) == who +
                    "called \"pthread_barrier_wait\", which a world does not have: a program has "
                    "one thread");
    CHECK(refusal([] {
              thrd_t thread;
              thrd_create(
                  &thread, [](void*) { return 0; }, nullptr);
          }) ==
          who + "called \"thrd_create\", which a world does not have: a program has one thread");
    CHECK(refusal([] {
              timer_t timer;
              timer_create(CLOCK_MONOTONIC, nullptr, &timer);
          }) == who + "called \"timer_create\", which a world does not have");
    CHECK(refusal([] { static_cast<void>(symlink("/nothing", "/link")); }) ==
          who + "called \"symlink\", which a world does not have");
    CHECK(refusal([] { wait(nullptr); }) == who + "called \"wait\", which a world does not have");
    CHECK(refusal([] { execl("/nothing", "nothing", nullptr); }) ==
          who + "called \"execl\", which a world does not have");
    CHECK(refusal([] { open("/a", O_WRONLY | O_CREAT | O_DIRECT, 0644); }).find("O_DIRECT") !=
          std::string::npos);
    CHECK(refusal([] { dup2(open("/a", O_WRONLY | O_CREAT, 0644), 1); }).find("\"dup2\"") !=
          std::string::npos);
    CHECK(refusal([] { dup2(open("/dev/urandom", O_RDONLY), 0); }).find("\"dup2\"") !=
          std::string::npos);
    CHECK(refusal([] {
              const int fd = open("/a", O_RDWR | O_CREAT, 0644);
              mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
          }).find("PROT_WRITE") != std::string::npos);
    for (const bool moves : {true, false}) {
        CHECK(refusal([moves] {
                  const int fd = open("/a", O_RDWR | O_CREAT, 0644);
                  void* const all = mmap(nullptr, 8192, PROT_READ, MAP_SHARED, fd, 0);
                  if (moves) static_cast<void>(mremap(all, 8192, 16384, MREMAP_MAYMOVE));
                  munmap(all, 4096);
              }).find(moves ? "\"mremap\" of a file" : "\"munmap\" of a part") !=
              std::string::npos);
    }
    const auto with_pair = [&](std::function<void(int)> use) {
        return refusal([use] {
            int pair[2];
            CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
            use(pair[0]);
        });
    };
    CHECK(with_pair([](int fd) { shutdown(fd, SHUT_WR); }).find("\"socketpair\"") !=
          std::string::npos);
    char x = 0;
    CHECK(with_pair([&x](int fd) { recv(fd, &x, 1, MSG_PEEK); }).find("MSG_PEEK") !=
          std::string::npos);
    CHECK(with_pair([&x](int fd) { recv(fd, &x, 1, MSG_WAITALL); }).find("MSG_WAITALL") !=
          std::string::npos);
    for (void (*const end)(int) :
         std::initializer_list<void (*)(int)>{exit, _exit, _Exit, quick_exit}) {
        Programs p;
        Host& host = p.run("host", [end] { end(3); });
        p.world.run_for(1s);
        CHECK(Programs::exit_code(host) == 3);
    }
}

TEST_CASE("System calls by number that have a function return what it does",
          "[libc_sim][program][sim]") {
    Programs p;
    bool done = false;
    p.run("host", [&] {
        CHECK(syscall(SYS_gettid) == getpid());
        std::uint64_t bits = 0;
        CHECK(syscall(SYS_getrandom, &bits, sizeof bits, 0) == sizeof bits);
        CHECK(bits != 0);
        done = true;
    });
    p.world.run_for(1s);
    CHECK(done);
}

TEST_CASE("A refusal names the function, the option and the flags as the program wrote them",
          "[libc_sim][program][sim]") {
    struct Call {
        const char* sentence;
        std::function<void()> make;
    };
    static const int on = 1;
    static char bytes[8] = "";
    const auto set = [](int level, int option) {
        return [level, option] { setsockopt(tcp_socket(), level, option, &on, sizeof on); };
    };
    const auto with_pair = [](std::function<void(int)> use) {
        return [use] {
            int pair[2];
            static_cast<void>(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
            use(pair[0]);
        };
    };
    const std::vector<Call> calls{
        {"bind\" with SO_REUSEPORT and a port in use",
         [] {
             for (int i = 0; i < 2; ++i) {
                 const int fd = tcp_socket();
                 setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
                 sockaddr_in at{};
                 at.sin_family = AF_INET;
                 at.sin_port = htons(7);
                 static_cast<void>(bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at));
                 listen(fd, 1);
             }
         }},
        {"setsockopt\" with SO_BROADCAST", set(SOL_SOCKET, SO_BROADCAST)},
        {"setsockopt\" with TCP_USER_TIMEOUT", set(IPPROTO_TCP, TCP_USER_TIMEOUT)},
        {"setsockopt\" with IP_TOS", set(IPPROTO_IP, IP_TOS)},
        {"setsockopt\" with level 41 and option 1000", set(IPPROTO_IPV6, 1000)},
        {"setsockopt\" with SO_LINGER",
         [] {
             const linger slow{1, 5};
             setsockopt(tcp_socket(), SOL_SOCKET, SO_LINGER, &slow, sizeof slow);
         }},
        {"getsockopt\" with TCP_INFO",
         [] {
             socklen_t size = sizeof bytes;
             getsockopt(tcp_socket(), IPPROTO_TCP, TCP_INFO, bytes, &size);
         }},
        {"send\" with MSG_OOB | MSG_MORE", [] { send(tcp_socket(), "x", 1, MSG_OOB | MSG_MORE); }},
        {"sendto\" with MSG_EOR",
         [] { sendto(tcp_socket(), "x", 1, MSG_EOR | MSG_NOSIGNAL, nullptr, 0); }},
        {"recv\" with MSG_TRUNC", [] { recv(tcp_socket(), bytes, 1, MSG_TRUNC | MSG_PEEK); }},
        {"recv\" with MSG_PEEK | MSG_WAITALL",
         [] { recv(tcp_socket(), bytes, 1, MSG_PEEK | MSG_WAITALL); }},
        {"recvfrom\" with MSG_ERRQUEUE",
         [] { recvfrom(tcp_socket(), bytes, 1, MSG_ERRQUEUE, nullptr, nullptr); }},
        {"recvmsg\" with flags 1048576",
         [] {
             msghdr message{};
             recvmsg(tcp_socket(), &message, 1 << 20);
         }},
        {"shutdown\" with a descriptor of \"socketpair\"",
         with_pair([](int fd) { shutdown(fd, SHUT_WR); })},
        {"recv\" with MSG_PEEK and a descriptor of \"socketpair\"",
         with_pair([](int fd) { recv(fd, bytes, 1, MSG_PEEK); })},
        {"socketpair\" with AF_UNIX and SOCK_DGRAM",
         [] {
             int pair[2];
             static_cast<void>(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
         }},
        {"ioctl\" with TIOCGWINSZ", [] { ioctl(tcp_socket(), TIOCGWINSZ, bytes); }},
        {"ioctl\" with request 77", [] { ioctl(tcp_socket(), 77, bytes); }},
        {"fcntl\" with F_SETPIPE_SZ", [] { fcntl(tcp_socket(), F_SETPIPE_SZ, 4096); }},
        {"fcntl\" with F_SETFL and O_ASYNC", [] { fcntl(tcp_socket(), F_SETFL, O_ASYNC); }},
        {"open\" with O_TMPFILE", [] { open("/", O_TMPFILE | O_RDWR, 0600); }},
        {"openat\" with O_PATH", [] { openat(AT_FDCWD, "/", O_PATH); }},
        {"setrlimit\" with RLIMIT_AS",
         [] {
             const rlimit few{1 << 20, 1 << 20};
             setrlimit(RLIMIT_AS, &few);
         }},
        {"syscall\" with SYS_io_uring_setup", [] { syscall(SYS_io_uring_setup, 8, bytes); }},
        {"syscall\" with number 9999", [] { syscall(9'999); }},
        {"vfork", [] { static_cast<void>(vfork()); }},
        {"execlp", [] { execlp("nothing", "nothing", nullptr); }},
        {"execle", [] { execle("nothing", "nothing", nullptr, nullptr); }},
        {"at_quick_exit", [] { at_quick_exit([] {}); }},
    };
    for (const Call& it : calls) {
        INFO(it.sentence);
        Programs p;
        p.run("host", it.make);
        CHECK_THROWS_WITH(
            p.world.run_for(1min),
            Catch::StartsWith("sim::Program on \"host\" called \"" + std::string{it.sentence}) &&
                Catch::EndsWith(", which a world does not have"));
    }
}

TEST_CASE("A world rejects a program that would wait for ever for a lock of another program",
          "[libc_sim][program][sim]") {
    static std::mutex mutex;
    static std::timed_mutex timed;
    static std::shared_mutex readers;
    static pthread_spinlock_t spin;
    pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
    static mtx_t of_c;
    mtx_init(&of_c, mtx_plain);
    struct Lock {
        const char* function;
        std::function<void()> lock;
        std::function<void()> unlock;
    };
    const std::vector<Lock> locks{
        {"pthread_mutex_lock", [] { mutex.lock(); }, [] { mutex.unlock(); }},
        {"pthread_mutex_clocklock", [] { static_cast<void>(timed.try_lock_for(1s)); },
         [] { timed.unlock(); }},
        {"pthread_rwlock_wrlock", [] { readers.lock(); }, [] { readers.unlock(); }},
        {"pthread_spin_lock", [] { pthread_spin_lock(&spin); }, [] { pthread_spin_unlock(&spin); }},
        {"mtx_lock", [] { mtx_lock(&of_c); }, [] { mtx_unlock(&of_c); }}};
    for (const Lock& it : locks) {
        INFO(it.function);
        Programs p;
        const auto hold = [it] {
            it.lock();
            sleep(1);  // the other program runs meanwhile
            it.unlock();
        };
        p.run("first", hold);
        p.run("second", hold);
        std::string refusal;
        try {
            p.world.run_for(10s);
        } catch (const std::logic_error& e) {
            refusal = e.what();
        }
        CHECK(refusal == "sim::Program on \"second\" called \"" + std::string{it.function} +
                             "\" of a lock that it, or another program of the test, has locked");
        // They may have the lock in turn.
        p.world.run_for(10s);
        Host& third = p.run("third", [hold] { return hold(), 3; });
        p.world.run_for(10s);
        CHECK(Programs::exit_code(third) == 3);
    }
    // Locks that return an error, or count, do so here, too.
    Programs p;
    Host& host = p.run("host", [] {
        std::recursive_mutex recursive;
        recursive.lock();
        recursive.lock();
        pthread_mutexattr_t checks;
        pthread_mutexattr_init(&checks);
        pthread_mutexattr_settype(&checks, PTHREAD_MUTEX_ERRORCHECK);
        pthread_mutex_t checked;
        pthread_mutex_init(&checked, &checks);
        CHECK(pthread_mutex_lock(&checked) == 0);
        CHECK(pthread_mutex_lock(&checked) == EDEADLK);
        // A program may wait for a thread of the test.
        CHECK(mutex.try_lock());
        mutex.unlock();
        return 5;
    });
    p.world.run_for(1s);
    CHECK(Programs::exit_code(host) == 5);
}

TEST_CASE("A world rejects a program that would wait for ever for an initialization by another one",
          "[libc_sim][program][regression]") {
    static std::once_flag once;
    static pthread_once_t once_of_c = PTHREAD_ONCE_INIT;
    struct Case {
        std::function<void()> initialize;
        std::string refusal;
    };
    const std::vector<Case> cases{
        {[] { std::call_once(once, [] { sleep(1); }); }, "called \"pthread_once\""},
        {[] { pthread_once(&once_of_c, [] { sleep(1); }); }, "called \"pthread_once\""},
        {[] {
             static const unsigned left = sleep(1);
             CHECK(left == 0);
         },
         "used a static variable"}};
    for (const Case& it : cases) {
        INFO(it.refusal);
        Programs p;
        Host& first = p.run("first", [it] { return it.initialize(), 3; });
        p.run("second", it.initialize);
        std::string refusal;
        try {
            p.world.run_for(10s);
        } catch (const std::logic_error& e) {
            refusal = e.what();
        }
        CHECK(refusal == "sim::Program on \"second\" " + it.refusal +
                             " that it, or another program of the test, has begun to initialize");
        p.world.run_for(10s);
        CHECK(Programs::exit_code(first) == 3);
        // The variable is initialized now.
        Host& third = p.run("third", [it] { return it.initialize(), 4; });
        p.world.run_for(1s);
        CHECK(Programs::exit_code(third) == 4);
    }
}

TEST_CASE("A world of programs runs in any thread of the test", "[libc_sim][program][regression]") {
    // Each thread has its own thread-local variables, at another address.
    const auto run = [] {
        Programs p;
        Host& host = p.run("host", [] {
            static thread_local int counted = 0;
            sleep(1);
            return ++counted;
        });
        p.world.run_for(2s);
        return Programs::exit_code(host);
    };
    CHECK(run() == 1);
    std::optional<int> code;
    std::thread{[&] { code = run(); }}.join();
    CHECK(code == 1);
}

TEST_CASE("Programs of two worlds at a time end the test with a message",
          "[libc_sim][program][unit]") {
    const std::string text = belay_test::aborts_with([] {
        Programs one, two;
        one.run("host", [] { sleep(1); });
        two.run("host", [] { sleep(1); });
    });
    INFO(text);
    CHECK(text.find("destroy the other world before") != std::string::npos);
}

TEST_CASE("Programs are explored by jobs", "[libc_sim][program][sim]") {
    const auto explore = [](std::uint32_t jobs, auto&& body, std::uint64_t seeds = 20) {
        return belay::sim::explore({.seeds = seeds,
                                    .scenario = {.within = 2s},
                                    .jobs = jobs,
                                    .recheck_percent = 0,
                                    .print = false,
                                    .environment = false},
                                   body);
    };
    const auto asks = [](World& world, bool repeats) {
        Programs::run_in(world, "server", serve_echo);
        bool& done = world.make<bool>(false);
        Programs::run_in(world, "client", [&done, repeats] {
            do {
                const int fd = tcp_socket();
                const timeval limit{.tv_sec = 3, .tv_usec = 0};
                setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
                char x = 'x';
                sleep(1);
                done = connect_to(fd, "10.0.0.1", 7) == 0 && send(fd, &x, 1, MSG_NOSIGNAL) == 1 &&
                       recv(fd, &x, 1, 0) == 1;
                close(fd);
            } while (!done && repeats);
        });
        world.run_for(3s);
        world.heal();
        world.sometimes("a choice", world.choose("two", 2) == 0);
        return world.eventually("answered", 5min, [&] { return done; });
    };
    const auto right = [asks](World& world) { return asks(world, true); };
    const belay::sim::Report one = explore(1, right), three = explore(3, right);
    CHECK(one.text() == three.text());
    CHECK(one);
    CHECK(three.seeds_run == 20);
    CHECK(three.marks.at("a choice") > 1);
    // The reported failure is the same.
    const auto wrong = [asks](World& world) { return asks(world, false); };
    const belay::sim::Report first = explore(1, wrong), same = explore(3, wrong);
    REQUIRE(first.failing);
    REQUIRE(same.failing);
    CHECK(first.failing->seed.value == same.failing->seed.value);
    CHECK(first.failing->hash == same.failing->hash);
    CHECK(first.failing->smallest == same.failing->smallest);
    CHECK(first.failing->diagram == same.failing->diagram);
    // There are more jobs than seeds.
    CHECK(explore(5, right, 2).seeds_run == 2);
}

namespace {

std::uint64_t failed_of_framework = 0;

}  // namespace

TEST_CASE("An assertion of the test framework that fails in a job is reported",
          "[libc_sim][program][unit]") {
    const belay::sim::ExploreOptions options{
        .seeds = 20,
        .jobs = 2,
        .recheck_percent = 0,
        .failed_assertions = [] { return failed_of_framework; },
        .print = false,
        .environment = false};
    const belay::sim::Report report = belay::sim::explore(options, [](World& world) {
        Programs::run_in(world, "host", [] { sleep(1); });
        world.run_for(2s);
        if (world.choose("one in", 5) == 0) ++failed_of_framework;
        return true;
    });
    REQUIRE(report.failing);
    CHECK(report.failing->property == "an assertion of the test framework failed");
}

TEST_CASE("A failure in a job keeps its seed, its property and its reason",
          "[libc_sim][program][regression]") {
    belay::sim::ExploreOptions options{
        .seeds = 20, .jobs = 2, .recheck_percent = 0, .print = false, .environment = false};
    const auto number_of = [](World& world) { return world.choose("a number", 1'000'000); };
    const auto number_of_seed = [&](std::uint64_t seed) {
        World world{belay::Seed{seed}};
        return number_of(world);
    };
    const auto explore = [&](std::uint64_t fails, std::uint64_t crashes) {
        const std::uint64_t failing = number_of_seed(fails), crashing = number_of_seed(crashes);
        return belay::sim::explore(options, [=](World& world) {
            const std::uint64_t number = number_of(world);
            Programs::run_in(world, "host", [] { sleep(1); });
            world.run_for(2s);
            if (number == crashing) kill(getpid(), SIGKILL);
            return world.require(
                "well", number != failing ? std::string{} : std::string{"a reason\0 of bytes", 18});
        });
    };
    const belay::sim::Report fails = explore(6, 7);
    REQUIRE(fails.failing);
    CHECK(fails.problem == "seed 6 fails: require \"well\"");
    CHECK(fails.failing->details.find("a reason  of bytes") == 0);
    CHECK(explore(6, 5).problem.find("seed 5 fails: the process ended by signal 9") == 0);
    // The other job stops before its last seed after a failure.
    options.seeds = 200'000;
    const belay::sim::Report first = explore(1, 0);
    REQUIRE(first.failing);
    CHECK(first.failing->seed.value == 1);
    CHECK(first.seeds_run < 100'000);
}

TEST_CASE("explore finds a program that crashes or hangs, and shrinks its scenario",
          "[libc_sim][program][sim]") {
    const auto explore = [](void (*end)()) {
        const belay::sim::ExploreOptions options{.seeds = 200,
                                                 .scenario = {.within = 3s},
                                                 .processor_time_max = 300ms,
                                                 .print = false,
                                                 .environment = false};
        return belay::sim::explore(options, [end](World& world) {
            Host& host = Programs::run_in(world, "host", [] { sleep(10); });
            Programs::run_in(world, "other", [&host, end] {
                for (int i = 0; i < 30; ++i) {
                    usleep(100'000);
                    if (host.starts() > 1) end();
                }
            });
            world.run_for(5s);
            return true;
        });
    };
    const belay::sim::Report crash =
        explore([] { *reinterpret_cast<volatile int*>(std::uintptr_t{8}) = 1; });
    INFO(crash.text());
    REQUIRE(crash.failing);
    CHECK(crash.failing->property.find("the process ended by signal 11") == 0);
    CHECK(crash.failing->smallest.size() == 1);
    CHECK(crash.failing->diagram.find("host starts, 2. time") != std::string::npos);
    const belay::sim::Report hang = explore([] {
        for (const volatile bool on = true; on;) {
        }
    });
    REQUIRE(hang.failing);
    CHECK(hang.failing->property == "the limit of processor time");
    CHECK(hang.failing->smallest.size() == 1);
    const belay::sim::Report stack = explore([] {
        const volatile int ends = 0;
        static constexpr auto recurse = [](const auto& self, const volatile int& e) -> int {
            volatile int here[1000] = {};
            return e != 0 ? here[0] : self(self, e) + here[0];
        };
        recurse(recurse, ends);
    });
    REQUIRE(stack.failing);
    CHECK(stack.failing->property.find("the process ended by signal 11") == 0);
    CHECK(stack.failing->smallest.size() == 1);
}

TEST_CASE("explore starts more programs than the memory of one process has room for",
          "[libc_sim][program][regression]") {
    // Linux lets a process have 65,530 mappings, and a program that was killed keeps two.
    const belay::sim::ExploreOptions options{.seeds = 1000,
                                             .scenario = {.within = 1s, .spared = {"host"}},
                                             .recheck_percent = 0,
                                             .print = false,
                                             .environment = false};
    CHECK(belay::sim::explore(options, [](World& world) {
        Host& host = Programs::run_in(world, "host", [] { sleep(10); });
        for (int i = 0; i < 34; ++i) {
            world.run_for(1ms);
            world.restart(host);
        }
        return host.starts() == 35;
    }));
}

TEST_CASE("An exception of a program is propagated by the run", "[libc_sim][program][sim]") {
    Programs p;
    Host& other = p.run("other", [] {
        try {
            throw 1;
        } catch (int) {
            sleep(2);  // while it handles an exception
            try {
                throw;
            } catch (int value) {
                CHECK(value == 1);
            }
        }
    });
    p.run("host", [] {
        sleep(1);
        throw std::runtime_error{"unexpected"};
    });
    CHECK_THROWS_WITH(p.world.run_for(1min), "unexpected");
    p.world.run_for(1min);
    CHECK(Programs::exit_code(other) == 0);
    CHECK(std::uncaught_exceptions() == 0);
}

TEST_CASE("Files of a program are on the disk of its host", "[libc_sim][program][sim]") {
    Programs p;
    Host& host = p.run("host", [] {
        CHECK(open("/etc/hosts", O_RDONLY) == -1);
        CHECK(errno == ENOENT);
        CHECK(open("/data/a.txt", O_RDWR | O_CREAT, 0644) == -1);
        CHECK(errno == ENOENT);
        CHECK(mkdir("/data/more", 0755) == -1);
        CHECK(errno == ENOENT);
        CHECK(mkdir("/data", 0755) == 0);
        CHECK(mkdir("/data", 0755) == -1);
        CHECK(errno == EEXIST);
        const int fd = open("/data/./../data/a.txt", O_RDWR | O_CREAT | O_EXCL, 0644);
        REQUIRE(fd >= 3);
        CHECK(open("data/a.txt", O_WRONLY | O_CREAT | O_EXCL, 0644) == -1);
        CHECK(errno == EEXIST);
        CHECK(write(fd, "hello world", 11) == 11);
        CHECK(lseek(fd, 6, SEEK_SET) == 6);
        char text[16]{};
        CHECK(read(fd, text, sizeof text) == 5);
        CHECK(std::string{text} == "world");
        CHECK(pwrite(fd, "W", 1, 6) == 1);
        CHECK(pread(fd, text, 5, 6) == 5);
        CHECK(std::string{text} == "World");
        CHECK(ftruncate(fd, 5) == 0);
        struct stat found {};
        CHECK(fstat(fd, &found) == 0);
        CHECK(found.st_size == 5);
        CHECK(S_ISREG(found.st_mode));
        CHECK(stat("/data", &found) == 0);
        CHECK(S_ISDIR(found.st_mode));
        CHECK(access("/data/b.txt", F_OK) == -1);
        const int more = open("/data/a.txt", O_WRONLY | O_APPEND);
        CHECK(write(more, "!", 1) == 1);
        CHECK(read(more, text, 1) == -1);
        CHECK(errno == EBADF);
        CHECK(fcntl(more, F_GETFL) == (O_WRONLY | O_APPEND));
        CHECK(fcntl(more, F_SETFL, O_APPEND | O_NONBLOCK) == 0);
        CHECK(fcntl(more, F_GETFL) == (O_WRONLY | O_APPEND | O_NONBLOCK));
        CHECK(posix_fallocate(more, 0, 3) == 0);
        const auto start = std::chrono::steady_clock::now();
        CHECK(fsync(fd) == 0);
        CHECK(std::chrono::steady_clock::now() - start >= 1ms);
        CHECK(rename("/data/a.txt", "/nowhere/b.txt") == -1);
        CHECK(errno == ENOENT);
        CHECK(rename("/data/a.txt", "/data/b.txt") == 0);
        DIR* const directory = opendir("/data");
        std::string names;
        while (const dirent* const entry = readdir(directory))
            names += entry->d_name + std::string{" "};
        CHECK(names == ". .. b.txt ");
        CHECK(closedir(directory) == 0);
        const int above = open("/data", O_RDONLY | O_DIRECTORY);
        CHECK(fsync(above) == 0);
        CHECK(unlink("/data/c.txt") == -1);
        CHECK(errno == ENOENT);
        epoll_event event{};
        CHECK(epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, fd, &event) == -1);
        CHECK(errno == EPERM);
        return 0;
    });
    p.world.run_for(1s);
    CHECK(Programs::exit_code(host) == 0);
    CHECK(belay::as_text(host.disk().contents("/data/b.txt")) == "hello!");
}

TEST_CASE("A write with O_DSYNC is durable when it returns", "[libc_sim][files][sim]") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        World world{belay::Seed{seed}};
        int written = 0;
        Host& host = world.host("host", [&](Host& h) {
            return std::make_unique<Program>(h, [&] {
                const int fd = open("/log", O_WRONLY | O_CREAT | O_DSYNC | O_APPEND, 0644);
                fsync(open("/", O_RDONLY | O_DIRECTORY));
                for (; write(fd, "x", 1) == 1; ++written) continue;
            });
        });
        world.run_for(100ms);
        const int acknowledged = written;
        world.kill(host);
        CHECK(acknowledged > 5);
        const std::string log{belay::as_text(host.disk().contents("/log"))};
        const std::string all(static_cast<std::size_t>(acknowledged), 'x');
        CHECK(log.substr(0, all.size()) == all);
    }
}

TEST_CASE("A loss of power loses the data that a program has not synced",
          "[libc_sim][program][sim]") {
    int lost = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        World world{belay::Seed{seed}};
        Host& host = world.host("host", [](Host& h) {
            return std::make_unique<Program>(h, [] {
                const int fd = open("/a", O_RDWR | O_CREAT, 0644);
                CHECK(write(fd, "synced", 6) == 6);
                CHECK(fsync(fd) == 0);
                const int root = open("/", O_RDONLY);
                CHECK(fsync(root) == 0);
                CHECK(write(fd, "not synced", 10) == 10);
                sleep(3600);
            });
        });
        world.run_for(1min);
        CHECK(belay::as_text(host.disk().contents("/a")) == "syncednot synced");
        world.kill(host);
        const std::string left{belay::as_text(host.disk().contents("/a"))};
        CHECK(left.substr(0, 6) == "synced");
        lost += left != "syncednot synced" ? 1 : 0;
    }
    CHECK(lost > 5);
}

TEST_CASE("Locks of files exclude the other programs of a host", "[libc_sim][program][sim]") {
    const auto set = [](int fd, int command, short type, off_t from, off_t size) {
        struct flock lock {};
        lock.l_type = type;
        lock.l_whence = SEEK_SET;
        lock.l_start = from;
        lock.l_len = size;
        return fcntl(fd, command, &lock);
    };
    const auto open_it = [] { return open("/lock", O_RDWR | O_CREAT, 0644); };
    int ended = 0;
    World world{belay::Seed{1}};
    world.host("host", [&](Host& h) {
        std::vector<std::unique_ptr<Program>> programs;
        programs.push_back(std::make_unique<Program>(h, [&] {
            const int fd = open_it();
            CHECK(set(fd, F_SETLK, F_WRLCK, 0, 10) == 0);
            CHECK(set(fd, F_SETLK, F_UNLCK, 4, 2) == 0);
            CHECK(flock(fd, LOCK_EX | LOCK_NB) == 0);
            sleep(10);
            close(open_it());  // ends the locks of the program
            sleep(10);
            ++ended;
        }));
        programs.push_back(std::make_unique<Program>(h, [&] {
            sleep(1);
            const int fd = open_it();
            CHECK(set(fd, F_SETLK, F_WRLCK, 0, 1) == -1);
            CHECK(errno == EAGAIN);
            CHECK(set(fd, F_OFD_SETLK, F_RDLCK, 9, 5) == -1);
            CHECK(set(fd, F_SETLK, F_WRLCK, 4, 2) == 0);
            CHECK(flock(fd, LOCK_SH | LOCK_NB) == -1);
            const auto start = std::chrono::steady_clock::now();
            CHECK(set(fd, F_SETLKW, F_WRLCK, 0, 0) == 0);  // it waits
            CHECK(std::chrono::steady_clock::now() - start >= 8s);
            CHECK(flock(fd, LOCK_EX) == 0);
            CHECK(std::chrono::steady_clock::now() - start >= 18s);
            const int reader = open("/lock", O_RDONLY);
            CHECK(set(reader, F_SETLK, F_WRLCK, 0, 1) == -1);
            CHECK(errno == EBADF);
            ++ended;
        }));
        return programs;
    });
    world.run_for(1min);
    CHECK(ended == 2);
}

TEST_CASE("A loss of power in the middle of a call ends the locks of a program",
          "[libc_sim][program][regression]") {
    int locked = 0;
    Programs p;
    Host& host = p.run("host", [&locked] {
        const int fd = open("/lock", O_RDWR | O_CREAT, 0644);
        locked += flock(fd, LOCK_EX | LOCK_NB) == 0 ? 1 : 0;
        fsync(open("/", O_RDONLY));
        for (;;) fsync(fd);  // the power fails during this call
    });
    for (int i = 0; i < 10; ++i) {
        p.world.run_for(100ms);
        p.world.restart(host);
    }
    p.world.run_for(100ms);
    CHECK(locked == 11);
}

TEST_CASE("Pipes carry bytes within a program", "[libc_sim][program][sim]") {
    Programs p;
    Host& host = p.run("host", [] {
        int ends[2];
        CHECK(pipe2(ends, O_NONBLOCK) == 0);
        char text[8]{};
        CHECK(read(ends[0], text, sizeof text) == -1);
        CHECK(errno == EAGAIN);
        CHECK(write(ends[1], "abc", 3) == 3);
        pollfd entry{ends[0], POLLIN, 0};
        CHECK(poll(&entry, 1, -1) == 1);
        CHECK(read(ends[0], text, sizeof text) == 3);
        close(ends[1]);
        CHECK(poll(&entry, 1, -1) == 1);
        CHECK(entry.revents == POLLHUP);
        CHECK(read(ends[0], text, sizeof text) == 0);
        CHECK(lseek(ends[0], 0, SEEK_SET) == -1);
        CHECK(errno == ESPIPE);
        CHECK(pipe(ends) == 0);  // a blocking pipe
        CHECK(read(ends[1], text, sizeof text) == -1);
        CHECK(errno == EBADF);
        close(ends[1]);
        CHECK(read(ends[0], text, sizeof text) == 0);
        int pair[2];
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        send_text(pair[0], "xyz");
        CHECK(recv(pair[1], text, sizeof text, 0) == 3);
        CHECK(recv(pair[1], text, sizeof text, MSG_DONTWAIT) == -1);
        CHECK(errno == EAGAIN);
        close(pair[1]);
        CHECK(send(pair[0], "x", 1, MSG_NOSIGNAL) == -1);  // SIGPIPE would end the program
        CHECK(errno == EPIPE);
        return 0;
    });
    p.world.run_for(1s);
    CHECK(Programs::exit_code(host) == 0);
}

TEST_CASE("A program's descriptors do not have the numbers of the test's own",
          "[libc_sim][program][sim]") {
    Programs p;
    Host& host = p.run("host", [] {
        const int counter = eventfd(0, 0);
        CHECK(posix_fadvise(counter, 0, 0, 0) == EBADF);  // the real descriptor
        CHECK(counter == 512);
        CHECK(eventfd_write(counter, 3) == 0);
        eventfd_t count = 0;
        CHECK(eventfd_read(counter, &count) == 0);
        CHECK(count == 3);
        const int epoll = epoll_create1(0);
        epoll_event event{};
        event.events = EPOLLIN;
        CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event) == 0);
        const timespec second{.tv_sec = 1, .tv_nsec = 0};
        const auto start = std::chrono::steady_clock::now();
        CHECK(epoll_pwait2(epoll, &event, 1, &second, nullptr) == 0);
        CHECK(std::chrono::steady_clock::now() - start == 1s);
        const timespec before{.tv_sec = -1, .tv_nsec = 0};
        CHECK(ppoll(nullptr, 0, &before, nullptr) == -1);
        CHECK(errno == EINVAL);
        CHECK(isatty(1) == 0);
        const int fd = open("/text", O_RDWR | O_CREAT, 0644);
        CHECK(dprintf(fd, "%s and %d", "text", 42) == 11);
        char parts[2][4];
        const iovec iov[2] = {{parts[0], 4}, {parts[1], 4}};
        CHECK(preadv(fd, iov, 2, 3) == 8);
        CHECK(std::string{parts[0], 8} == "t and 42");
        CHECK(pwritev(fd, iov, 2, 0) == 8);
        for (int next = 0; (next = eventfd(0, 0)) >= 0;) CHECK(next < FD_SETSIZE);
        CHECK(errno == EMFILE);
        int ends[2];
        CHECK(pipe(ends) == -1);
        close(fd);
        CHECK(pipe(ends) == -1);
        CHECK(errno == EMFILE);
        CHECK(eventfd(0, 0) == fd);
        return 0;
    });
    p.world.run_for(2s);
    CHECK(Programs::exit_code(host) == 0);
    CHECK(belay::as_text(host.disk().contents("/text")) == "t and 42 42");
}

TEST_CASE("A program does not touch the files of the test", "[libc_sim][program][regression]") {
    char path[] = "/tmp/belay_libc_sim_XXXXXX";
    const int real = mkstemp(path);
    REQUIRE(real >= 0);
    Programs p;
    Host& host = p.run("host", [&path] {
        CHECK(std::remove(path) == -1);
        CHECK(errno == ENOENT);
        CHECK_FALSE(std::filesystem::remove(path));
        CHECK(__open_2(path, O_RDONLY) == -1);
        CHECK(errno == ENOENT);
        struct stat found {};
        CHECK(__xstat(1, path, &found) == -1);
        CHECK(open("", O_RDONLY) == -1);
        CHECK(errno == ENOENT);
        close(open("/own", O_WRONLY | O_CREAT, 0644));
        CHECK(std::filesystem::remove("/own"));
        CHECK(access("/own", F_OK) == -1);
        char* const directory = getcwd(nullptr, 0);
        CHECK(std::string{directory} == "/");
        std::free(directory);
        utsname name{};
        CHECK(uname(&name) == 0);
        CHECK(std::string{name.nodename} == "host");
        return 0;
    });
    p.world.run_for(1s);
    CHECK(Programs::exit_code(host) == 0);
    CHECK(access(path, F_OK) == 0);
    CHECK(std::remove(path) == 0);
    close(real);
}

TEST_CASE("A program reads the wall clock of its host", "[libc_sim][program][regression]") {
    Programs p;
    std::time_t times[3]{};
    Host& host = p.run("host", [&times] {
        for (std::time_t& t : times) {
            t = time(nullptr);
            sleep(10);
        }
    });
    p.world.run_for(15s);
    host.set_wall_clock(-1h);
    p.world.run_for(1min);
    CHECK(times[1] - times[0] == 10);
    CHECK(times[2] - times[1] == 10 - 3600);
}

TEST_CASE("The time of a program drifts with the steady clock of its host",
          "[libc_sim][program][sim]") {
    Programs p;
    const auto shown = [] {
        timespec t{};
        CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
        return std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec};
    };
    std::vector<belay::Instant> woken;
    Host& host = p.run("host", [&] {
        const auto pass = [&](const auto& wait) {
            const auto before = shown();
            CHECK(wait() == 0);
            CHECK(shown() - before == 10s);
            woken.push_back(p.world.now());
        };
        pass([] { return static_cast<int>(sleep(10)); });
        pass([] { return poll(nullptr, 0, 10'000); });
        const int set = epoll_create1(0);
        epoll_event event{.events = EPOLLIN, .data = {}};
        pass([&] { return epoll_wait(set, &event, 1, 10'000); });
        const int timer = timerfd_create(CLOCK_MONOTONIC, 0);
        const itimerspec once{.it_interval = {}, .it_value = {.tv_sec = 10, .tv_nsec = 0}};
        CHECK(timerfd_settime(timer, 0, &once, nullptr) == 0);
        CHECK(epoll_ctl(set, EPOLL_CTL_ADD, timer, &event) == 0);
        pass([&] { return epoll_wait(set, &event, 1, -1) - 1; });
        timespec until{};
        CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
        until.tv_sec += 10;
        pass([&] { return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr); });
    });
    host.drift_clock(-100'000);  // 9 s are shown in 10 s
    p.world.run_for(1min);
    REQUIRE(woken.size() == 5);
    belay::Duration expected{};
    for (const belay::Instant at : woken) {
        expected += belay::Duration{100s} / 9;
        const belay::Duration late = at.time_since_epoch() - expected;
        CHECK((-10ns < late && late < 10ns));
    }
}

thread_local int own_number = 5;

TEST_CASE("Each program has its own thread-local variables", "[libc_sim][program][sim]") {
    Programs p;
    own_number = 1;
    const auto count = [] {
        CHECK(own_number == 5);
        for (int i = 6; i < 10; ++i) {
            own_number = i;
            sleep(1);
            CHECK(own_number == i);
        }
    };
    Host& a = p.run("a", count);
    Host& b = p.run("b", count);
    p.world.run_for(10s);
    CHECK(own_number == 1);
    CHECK(Programs::exit_code(a) == 0);
    CHECK(Programs::exit_code(b) == 0);
}

TEST_CASE("sched_yield runs the other programs of the same instant", "[libc_sim][program][sim]") {
    Programs p;
    std::string turns;
    for (const char* const name : {"a", "b"}) {
        p.run(name, [name, &turns] {
            for (int i = 0; i < 3; ++i) {
                turns += name;
                sched_yield();
            }
        });
    }
    p.world.run_for(0s);
    CHECK(turns == "ababab");
}

namespace {

/// Answers one request, if it reads it, and then waits until it is killed.
void answer_half(int listener, bool reads) {
    const int guest = accept(listener, nullptr, nullptr);
    for (char c = 0; reads && c != '\n';) static_cast<void>(recv(guest, &c, 1, 0));
    static_cast<void>(send(guest, "half", 4, MSG_NOSIGNAL));
    for (;;) sleep(1000);
}
/// Returns the bytes that the peer of a killed server receives. `kills()` kills it.
template <class F>
std::string ending_of(int fd, F kills) {
    send_text(fd, "LIST\n");
    char c = 0;
    while (c != 'f') CHECK(recv(fd, &c, 1, 0) == 1);
    kills();
    const ssize_t n = recv(fd, &c, 1, 0);
    return n == 0 ? "the end" : n > 0 ? "data" : std::strerror(errno);
}
std::string real_ending(bool reads) {
    const int listener = tcp_socket();
    sockaddr_in at = address("127.0.0.1", 0);
    socklen_t size = sizeof at;
    REQUIRE(bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(listen(listener, 1) == 0);
    getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size);
    const pid_t server = fork();
    if (server == 0) answer_half(listener, reads);
    const int fd = tcp_socket();
    CHECK(connect_to(fd, "127.0.0.1", ntohs(at.sin_port)) == 0);
    const std::string ending = ending_of(fd, [&] {
        kill(server, SIGKILL);
        waitpid(server, nullptr, 0);
    });
    close(fd);
    close(listener);
    return ending;
}

}  // namespace

TEST_CASE("The peer of a killed program receives what it does on Linux",
          "[libc_sim][program][regression]") {
    const bool reads = GENERATE(true, false);
    Programs p;
    Host& server = p.run("server", [reads] { answer_half(listen_at(7), reads); });
    std::string ending;
    p.run("client", [&] {
        const int fd = tcp_socket();
        REQUIRE(connect_to(fd, "10.0.0.1", 7) == 0);
        ending = ending_of(fd, [] {});
    });
    p.world.run_for(1s);
    p.world.kill(server);
    p.world.run_for(1s);
    CHECK(ending == (reads ? "the end" : "Connection reset by peer"));
    CHECK(ending == real_ending(reads));
}

namespace {

/// Writes to a pipe without a reader. The error must be EPIPE if the program continues.
void write_broken() {
    int ends[2];
    CHECK(pipe(ends) == 0);
    close(ends[0]);
    CHECK(write(ends[1], "x", 1) == -1);
    CHECK(errno == EPIPE);
}
/// Runs a program that prepares and then writes, next to one that does not prepare.   Returns: the
/// message that has ended one of them.
std::string write_after(const std::function<void()>& prepare, bool other_writes = false) {
    Programs p;
    p.run("careful", [&] {
        prepare();
        write_broken();
    });
    p.run("other", [other_writes] {
        sleep(1);
        if (other_writes) write_broken();
    });
    try {
        p.world.run_for(1min);
    } catch (const std::logic_error& e) {
        return e.what();
    }
    return {};
}
std::string refusal_of_wait() {
    return write_after([] {
        sigset_t pipe{};
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        sigtimedwait(&pipe, nullptr, nullptr);
    });
}
bool ended_by_pipe(const std::string& sentence, const char* program = "careful") {
    return sentence.find('"' + std::string{program} + "\" was ended by SIGPIPE") !=
           std::string::npos;
}

}  // namespace

TEST_CASE("Each program of a world has its own action for SIGPIPE",
          "[libc_sim][program][regression]") {
    static int calls;
    calls = 0;
    const auto by_signal = [] { CHECK(signal(SIGPIPE, SIG_IGN) == SIG_DFL); };
    const auto by_action = [] {
        struct sigaction action {};
        action.sa_sigaction = [](int number, siginfo_t* info, void*) {
            calls += number == SIGPIPE && info->si_signo == SIGPIPE ? 1 : 0;
        };
        action.sa_flags = SA_SIGINFO;
        struct sigaction old {};
        CHECK(sigaction(SIGPIPE, &action, &old) == 0);
        CHECK(old.sa_handler == SIG_DFL);
        CHECK(sigaction(SIGPIPE, nullptr, &old) == 0);
        CHECK(old.sa_sigaction == action.sa_sigaction);
    };
    const auto by_handler = [] { signal(SIGPIPE, [](int number) { calls += number == SIGPIPE; }); };
    CHECK(write_after(by_signal).empty());
    CHECK(write_after(by_action).empty());
    CHECK(write_after(by_handler).empty());
    CHECK(calls == 2);
    // The other program, also one of a later world, still has the default action.
    CHECK(ended_by_pipe(write_after(by_signal, true), "other"));
    // Outside of programs the test's action applies. Programs inherit it if it ignores the signal.
    const auto before = signal(SIGPIPE, SIG_IGN);
    CHECK(before == SIG_DFL);
    CHECK(write_after([] {}, true).empty());
    signal(SIGPIPE, before);
}

TEST_CASE("SIG_IGN and SIG_DFL have their meaning also with SA_SIGINFO",
          "[libc_sim][program][regression]") {
    const auto set = [](auto handler) {
        struct sigaction action {};
        action.sa_handler = handler;
        action.sa_flags = SA_SIGINFO;
        struct sigaction old {};
        CHECK(sigaction(SIGPIPE, &action, &old) == 0);
        return old;
    };
    CHECK(write_after([&] { set(SIG_IGN); }).empty());
    CHECK(ended_by_pipe(write_after([&] { set(SIG_DFL); })));
    // As after exec(), a program inherits no flag of the test.
    const struct sigaction before = set(SIG_IGN);
    CHECK(write_after([&] { CHECK(set(SIG_IGN).sa_flags == 0); }).empty());
    sigaction(SIGPIPE, &before, nullptr);
}

TEST_CASE("A handler of SIGPIPE that counts once is called once",
          "[libc_sim][program][regression]") {
    static int calls;
    const auto count = [](int) {
        struct sigaction now {};
        CHECK(sigaction(SIGPIPE, nullptr, &now) == 0);
        CHECK(now.sa_handler == SIG_DFL);
        ++calls;
    };
    const auto by_action = [count] {
        struct sigaction action {};
        action.sa_handler = count;
        action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
        CHECK(sigaction(SIGPIPE, &action, nullptr) == 0);
    };
    const auto by_signal = [count] { CHECK(__sysv_signal(SIGPIPE, count) == SIG_DFL); };
    for (const std::function<void()>& prepare :
         {std::function<void()>{by_action}, std::function<void()>{by_signal}}) {
        calls = 0;
        CHECK(write_after(prepare).empty());
        CHECK(calls == 1);
        CHECK(ended_by_pipe(write_after([&] {
            prepare();
            write_broken();
        })));
        CHECK(calls == 2);
    }
}

namespace {

std::string pipe_log;  // the calls of the handler below
int pipe_depth, pipe_writes;

/// Writes again in the handler, `pipe_writes` times.
void count_pipe(int) {
    pipe_log += "(" + std::to_string(pipe_depth++);
    if (pipe_writes-- > 0) write_broken();
    --pipe_depth;
    pipe_log += ")";
}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // of System V
/// Blocks SIGPIPE in each possible way.   Returns: the results.
std::string block_pipe_signals() {
    pipe_log.clear();
    pipe_depth = pipe_writes = 0;
    sigset_t pipe{}, old{};
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    const auto pending = [] {
        sigset_t now{};
        CHECK(sigpending(&now) == 0);
        pipe_log += sigismember(&now, SIGPIPE) == 1 ? " pending" : " nothing";
    };
    // Libraries use this form: no handler is called.
    CHECK(pthread_sigmask(SIG_BLOCK, &pipe, &old) == 0);
    CHECK(sigismember(&old, SIGPIPE) == 0);
    write_broken();
    write_broken();
    pending();
    const timespec none{};
    siginfo_t info{};
    CHECK(sigtimedwait(&pipe, &info, &none) == SIGPIPE);
    CHECK(info.si_signo == SIGPIPE);
    CHECK(sigtimedwait(&pipe, nullptr, &none) == -1);
    CHECK(errno == EAGAIN);
    pending();
    CHECK(pthread_sigmask(SIG_SETMASK, &old, nullptr) == 0);
    CHECK(pthread_sigmask(99, &pipe, nullptr) == EINVAL);
    CHECK(sigprocmask(99, &pipe, nullptr) == -1);
    CHECK(errno == EINVAL);
    // A handler is called once, when the signal is no longer blocked.
    const auto before = signal(SIGPIPE, count_pipe);
    CHECK(sigprocmask(SIG_BLOCK, &pipe, nullptr) == 0);
    write_broken();
    write_broken();
    pipe_log += " blocked";
    CHECK(sigprocmask(SIG_UNBLOCK, &pipe, nullptr) == 0);
    // A signal during its handler waits for the end of the handler, except with SA_NODEFER.
    pipe_writes = 2;
    write_broken();
    struct sigaction nested {};
    nested.sa_handler = count_pipe;
    nested.sa_flags = SA_NODEFER;
    CHECK(sigaction(SIGPIPE, &nested, nullptr) == 0);
    pipe_writes = 2;
    write_broken();
    // The functions of System V, and other names.
    CHECK(sigset(SIGPIPE, SIG_HOLD) == count_pipe);
    write_broken();
    pending();
    CHECK(sigset(SIGPIPE, count_pipe) == SIG_HOLD);
    CHECK(sighold(SIGPIPE) == 0);
    write_broken();
    CHECK(sigrelse(SIGPIPE) == 0);
    CHECK(sigignore(SIGPIPE) == 0);
    write_broken();
    CHECK(ssignal(SIGPIPE, count_pipe) == SIG_IGN);
    write_broken();
    // Ignoring the signal discards a waiting one.
    CHECK(sigprocmask(SIG_BLOCK, &pipe, nullptr) == 0);
    write_broken();
    CHECK(signal(SIGPIPE, SIG_IGN) == count_pipe);
    pending();
    CHECK(signal(SIGPIPE, count_pipe) == SIG_IGN);
    CHECK(sigprocmask(SIG_UNBLOCK, &pipe, nullptr) == 0);
    CHECK(signal(SIGPIPE, before) == count_pipe);
    return pipe_log;
}
void hold_pipe() {
    CHECK(sighold(SIGPIPE) == 0);
    write_broken();
    CHECK(sigrelse(SIGPIPE) == 0);
}
#pragma GCC diagnostic pop

}  // namespace

TEST_CASE("A program blocks SIGPIPE as on Linux", "[libc_sim][program][regression]") {
    std::string in_world;
    {
        Programs p;
        p.run("host", [&] { in_world = block_pipe_signals(); });
        p.run("other", [] {
            sigset_t all{};
            sigfillset(&all);
            CHECK(sigprocmask(SIG_BLOCK, &all, nullptr) == 0);
        });
        p.world.run_for(1s);
    }
    CHECK(in_world == block_pipe_signals());
    CHECK(in_world.find(" pending nothing blocked(0)(0)(0)(0)") == 0);
    // The mask is that of one program.
    sigset_t now{};
    CHECK(pthread_sigmask(SIG_SETMASK, nullptr, &now) == 0);
    CHECK(sigismember(&now, SIGTERM) == 0);
    CHECK(ended_by_pipe(write_after(hold_pipe)));
    CHECK(refusal_of_wait().find("\"sigtimedwait\"") != std::string::npos);
}

namespace {

/// Waits with masks of signals, while a blocked SIGPIPE is pending.   Returns: the results.
std::string wait_with_masks() {
    pipe_log.clear();
    pipe_depth = pipe_writes = 0;
    sigset_t pipe{}, none{};
    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    const auto before = signal(SIGPIPE, count_pipe);
    CHECK(sigprocmask(SIG_BLOCK, &pipe, nullptr) == 0);
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const int epoll = epoll_create1(0);
    epoll_event event{.events = EPOLLIN, .data = {}};
    REQUIRE(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) == 0);
    using Wait = std::function<int(const timespec&, const sigset_t*)>;
    const Wait waits[] = {[&](const timespec& limit, const sigset_t* mask) {
                              pollfd entry{ends[0], POLLIN, 0};
                              return ppoll(&entry, 1, &limit, mask);
                          },
                          [&](const timespec& limit, const sigset_t* mask) {
                              fd_set reads;
                              FD_ZERO(&reads);
                              FD_SET(ends[0], &reads);
                              return pselect(ends[0] + 1, &reads, nullptr, nullptr, &limit, mask);
                          },
                          [&](const timespec& limit, const sigset_t* mask) {
                              return epoll_pwait(epoll, &event, 1,
                                                 static_cast<int>(limit.tv_nsec / 1'000'000), mask);
                          },
                          [&](const timespec& limit, const sigset_t* mask) {
                              return epoll_pwait2(epoll, &event, 1, &limit, mask);
                          }};
    const timespec at_once{};
    const timespec soon{.tv_sec = 0, .tv_nsec = 20'000'000};
    for (const Wait& wait : waits) {
        const auto show = [&](const timespec& limit, const sigset_t* mask) {
            errno = 0;
            const int result = wait(limit, mask);
            pipe_log += " " + std::to_string(result) + (errno == EINTR ? " interrupted" : "");
        };
        pipe_log += "\nblocked:";
        write_broken();
        show(soon, nullptr);
        show(soon, &pipe);
        pipe_log += " ready:";
        CHECK(write(ends[1], "x", 1) == 1);
        show(soon, &none);
        char byte = 0;
        CHECK(read(ends[0], &byte, 1) == 1);
        pipe_log += " let through:";
        show(soon, &none);
        show(soon, &none);
        pipe_log += " at once:";
        write_broken();
        show(at_once, &none);
        pipe_log += " ignored:";
        signal(SIGPIPE, SIG_IGN);
        write_broken();
        show(soon, &none);
        show(soon, &none);
        signal(SIGPIPE, count_pipe);
    }
    for (const int fd : {epoll, ends[0], ends[1]}) close(fd);
    CHECK(sigprocmask(SIG_UNBLOCK, &pipe, nullptr) == 0);
    signal(SIGPIPE, before);
    return pipe_log;
}

}  // namespace

TEST_CASE("A mask of signals counts while a program waits with it, as on Linux",
          "[libc_sim][program][regression]") {
    std::string in_world;
    {
        Programs p;
        p.run("host", [&] { in_world = wait_with_masks(); });
        p.world.run_for(1min);
    }
    CHECK(in_world == wait_with_masks());
    CHECK(in_world.find("let through:(0) -1 interrupted") != std::string::npos);
}

namespace {

/// Uses files by streams, in a directory.   Returns: their contents, and the results.
std::string use_streams(const std::string& directory) {
    std::string log;
    const std::string path = directory + "/text";
    const auto show = [&](const char* when) {
        log += std::string{when} + ":";
        FILE* const f = fopen(path.c_str(), "rb");
        REQUIRE(f != nullptr);
        char line[32];
        while (fgets(line, sizeof line, f) != nullptr) log += line;
        log += feof(f) != 0 ? "|" : "?";
        CHECK(fclose(f) == 0);
    };
    CHECK(fopen(path.c_str(), "r") == nullptr);
    log += std::strerror(errno);
    CHECK(fopen(path.c_str(), "z") == nullptr);
    CHECK(errno == EINVAL);
    FILE* f = fopen(path.c_str(), "w");
    REQUIRE(f != nullptr);
    CHECK(fprintf(f, "%d\n", 12345) == 6);
    struct stat s {};
    CHECK(stat(path.c_str(), &s) == 0);
    log += " " + std::to_string(s.st_size);  // the bytes are buffered
    CHECK(fflush(f) == 0);
    CHECK(fsync(fileno(f)) == 0);
    CHECK(fstat(fileno(f), &s) == 0);
    log += " " + std::to_string(s.st_size);
    CHECK(fputs("second\n", f) >= 0);
    CHECK(fclose(f) == 0);
    show(" written");
    CHECK(fopen(path.c_str(), "wx") == nullptr);
    log += std::strerror(errno);
    f = fopen(path.c_str(), "r+");
    CHECK(fseek(f, 1, SEEK_SET) == 0);
    CHECK(fputc('X', f) == 'X');
    CHECK(ftell(f) == 2);
    CHECK(fseek(f, -3, SEEK_END) == 0);
    log += static_cast<char>(fgetc(f));
    CHECK(fclose(f) == 0);
    f = fopen(path.c_str(), "a+e");
    CHECK(fputs("third\n", f) >= 0);
    rewind(f);
    log += static_cast<char>(fgetc(f));
    CHECK(fclose(f) == 0);
    show(" appended");
    const int fd = open(path.c_str(), O_RDONLY);
    f = fdopen(fd, "r");
    REQUIRE(f != nullptr);
    CHECK(fileno(f) == fd);
    CHECK(fputc('x', f) == EOF);
    CHECK(ferror(f) != 0);
    CHECK(fclose(f) == 0);
    CHECK(close(fd) == -1);  // the stream has closed the descriptor
    CHECK(fdopen(fd, "r") == nullptr);
    log += std::strerror(errno);
    {
        std::ofstream out{path, std::ios::app};
        out << "fourth " << 4.5 << "\n";
    }
    f = fopen(path.c_str(), "a");
    log += " at " + std::to_string(ftell(f));
    CHECK(fputs("5\n", f) >= 0);
    log += " " + std::to_string(ftell(f));
    CHECK(fclose(f) == 0);
    log += " " + std::to_string(std::ofstream{path, std::ios::app}.tellp());
    int raw = open(path.c_str(), O_WRONLY);
    f = fdopen(raw, "a");
    CHECK((fcntl(raw, F_GETFL) & O_APPEND) != 0);
    log += " " + std::to_string(ftell(f));
    CHECK(fputs("sixth\n", f) >= 0);
    CHECK(fclose(f) == 0);
    for (const char* mode : {"r", "w", "a", "r+", "w+", "a+"}) {
        for (const int flags : {O_RDONLY, O_WRONLY, O_RDWR}) {
            raw = open(path.c_str(), flags);
            errno = 0;
            f = fdopen(raw, mode);
            log += f != nullptr ? '+' : errno == EINVAL ? '-' : '?';
            CHECK((f != nullptr ? fclose(f) : close(raw)) == 0);
        }
    }
    std::ifstream in{path, std::ios::binary};
    log += " available " + std::to_string(in.rdbuf()->in_avail());
    for (std::string line; std::getline(in, line);) log += "[" + line + "]";
    CHECK(fileno(stderr) == 2);
    return log;
}

}  // namespace

TEST_CASE("A program uses streams of files as on Linux", "[libc_sim][program][sim]") {
    Programs p;
    std::string in_world;
    p.run("host", [&] {
        CHECK(mkdir("/data", 0755) == 0);
        in_world = use_streams("/data");
    });
    p.world.run_for(1s);
    char directory[] = "/tmp/belay_streams_XXXXXX";
    REQUIRE(mkdtemp(directory) != nullptr);
    CHECK(in_world == use_streams(directory));
    std::filesystem::remove_all(directory);
    CHECK(in_world.find(" 0 6 written:12345\nsecond\n|") != std::string::npos);
}

// The same calls on a tmpfs of 8 KiB have the same results.
TEST_CASE("A program that fills the disk writes a part, and then no more bytes",
          "[libc_sim][program][regression]") {
    Programs p;
    Host& host = p.run("host", [] {
        const int fd = open("/full", O_RDWR | O_CREAT, 0644);
        const std::string much(10'000, 'x');
        CHECK(write(fd, much.data(), much.size()) == 8192);
        CHECK(write(fd, much.data(), much.size()) == -1);
        CHECK(errno == ENOSPC);
        CHECK(ftruncate(fd, 0) == 0);
        CHECK(lseek(fd, 0, SEEK_SET) == 0);
        iovec parts[2] = {{const_cast<char*>(much.data()), 5'000},
                          {const_cast<char*>(much.data()), 5'000}};
        CHECK(writev(fd, parts, 2) == 8192);
        CHECK(writev(fd, parts, 2) == -1);
        CHECK(errno == ENOSPC);
        CHECK(pwrite(fd, much.data(), 10, 8190) == 2);  // over existing bytes
        CHECK(ftruncate(fd, 0) == 0);
        CHECK(lseek(fd, 0, SEEK_SET) == 0);
        CHECK(dprintf(fd, "%s", much.c_str()) == -1);
        CHECK(errno == ENOSPC);
        return 0;
    });
    host.disk().limit_bytes(8192);
    p.world.run_for(1s);
    CHECK(Programs::exit_code(host) == 0);
}

TEST_CASE("A program whose write is cut by a full disk has written as many bytes as write returns",
          "[libc_sim][program][regression]") {
    Programs p;
    Host& host = p.run("host", [] {
        const int fd = open("/file", O_RDWR | O_CREAT, 0644);
        CHECK(write(fd, "01234567", 8) == 8);
        sleep(1);
        CHECK(pwrite(fd, "abcdefghij", 10, 0) == 5);
        char all[9]{};
        CHECK(pread(fd, all, 8, 0) == 8);
        CHECK(all == std::string{"abcde567"});
        return 0;
    });
    p.world.run_for(500ms);
    host.disk().fail_at(host.disk().operations() + 1,
                        std::make_error_code(std::errc::no_space_on_device));
    p.world.run_for(1s);
    CHECK(Programs::exit_code(host) == 0);
}

TEST_CASE("A program without descriptors opens nothing, as on Linux", "[libc_sim][program][sim]") {
    Programs p;
    Host& server = p.run("server", [] {
        const int fd = open("/file", O_RDWR | O_CREAT, 0644);
        CHECK(write(fd, "12345678", 8) == 8);
        const int root = open("/", O_RDONLY | O_DIRECTORY);
        const int listener = listen_at(7);
        sleep(1);
        const auto lacks = [](bool fails) { return fails && errno == EMFILE; };
        CHECK(lacks(open("/file", O_RDWR | O_TRUNC) < 0));
        CHECK(lacks(open("/other", O_RDWR | O_CREAT, 0644) < 0));
        CHECK(lacks(fopen("/file", "w") == nullptr));
        CHECK(lacks(opendir("/") == nullptr));
        CHECK(lacks(tcp_socket() < 0));
        CHECK(lacks(epoll_create1(0) < 0));
        addrinfo* found = nullptr;
        CHECK(getaddrinfo("server", "7", nullptr, &found) == EAI_NONAME);
        CHECK(errno == EMFILE);
        // These calls need no descriptor.
        struct stat status {};
        CHECK(stat("/file", &status) == 0);
        CHECK(status.st_size == 8);
        CHECK(access("/other", F_OK) == -1);
        CHECK(fsync(fd) == 0);
        CHECK(fsync(root) == 0);
        CHECK(rename("/file", "/moved") == 0);
        // The connection stays in the kernel, and a program that tries again lets time pass.
        int tries = 0;
        int guest = -1;
        while ((guest = accept(listener, nullptr, nullptr)) < 0) {
            CHECK(errno == EMFILE);
            ++tries;
        }
        CHECK(tries > 100);
        CHECK(receive_all(guest) == "waited");
        return 0;
    });
    Host& client = p.run("client", [] {
        sleep(1);
        const int fd = tcp_socket();
        CHECK(connect_to(fd, "10.0.0.1", 7) == 0);
        send_text(fd, "waited");
        return 0;
    });
    p.world.at(500ms, [&] { server.exhaust_descriptors(); });
    p.world.at(2s, [&] { server.exhaust_descriptors(false); });
    p.world.run_for(3s);
    CHECK(Programs::exit_code(server) == 0);
    CHECK(Programs::exit_code(client) == 0);
}

TEST_CASE("A connection waits in the kernel while a program has used up its own descriptors",
          "[libc_sim][program][regression]") {
    Programs p;
    // A blocking accept() may also begin before the descriptors are used up.
    const bool waits_before = GENERATE(false, true);
    Host& server = p.run("server", [waits_before] {
        const int listener = listen_at(7);
        const int spare = eventfd(0, 0);
        if (waits_before) {
            CHECK(accept(listener, nullptr, nullptr) == -1);
            CHECK(errno == EMFILE);
        } else {
            while (eventfd(0, 0) >= 0) {
            }
            CHECK(errno == EMFILE);
            sleep(1);
            CHECK(accept(listener, nullptr, nullptr) == -1);
            CHECK(errno == EMFILE);
        }
        sleep(1);
        close(spare);
        const int guest = accept(listener, nullptr, nullptr);
        CHECK(guest == spare);
        CHECK(receive_all(guest) == "waited");
        return 0;
    });
    Host& client = p.run("client", [] {
        usleep(500'000);
        const int fd = tcp_socket();
        CHECK(connect_to(fd, "10.0.0.1", 7) == 0);
        send_text(fd, "waited");
        return 0;
    });
    if (waits_before) {
        p.world.at(100ms, [&] { server.exhaust_descriptors(); });
        p.world.at(1s, [&] { server.exhaust_descriptors(false); });
    }
    p.world.run_for(5s);
    CHECK(Programs::exit_code(server) == 0);
    CHECK(Programs::exit_code(client) == 0);
}

TEST_CASE(
    "An edge-triggered listener is not ready again when there are descriptors again, as on Linux",
    "[libc_sim][program][regression]") {
    Programs p;
    Host& server = p.run("server", [] {
        const int listener = listen_at(7);
        const int epoll = epoll_create1(0);
        CHECK(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET;
        CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) == 0);
        const auto wait = [&](int milliseconds) {
            return epoll_wait(epoll, &event, 1, milliseconds);
        };
        CHECK(wait(1000) == 1);
        CHECK(accept(listener, nullptr, nullptr) == -1);
        CHECK(errno == EMFILE);
        CHECK(wait(1500) == 0);  // descriptors are free again after a second
        CHECK(wait(5000) == 1);  // the second connection
        CHECK(accept(listener, nullptr, nullptr) >= 0);
        CHECK(accept(listener, nullptr, nullptr) >= 0);
        CHECK(accept(listener, nullptr, nullptr) == -1);
        CHECK(errno == EAGAIN);
        return 0;
    });
    p.run("client", [] {
        usleep(500'000);
        CHECK(connect_to(tcp_socket(), "10.0.0.1", 7) == 0);
        sleep(2);
        CHECK(connect_to(tcp_socket(), "10.0.0.1", 7) == 0);
        sleep(2);
        return 0;
    });
    p.world.at(100ms, [&] { server.exhaust_descriptors(); });
    p.world.at(1s, [&] { server.exhaust_descriptors(false); });
    p.world.run_for(8s);
    CHECK(Programs::exit_code(server) == 0);
}

TEST_CASE("A read of the disk that fails is an error of the program's call, and changes no file",
          "[libc_sim][program][regression]") {
    int failures = 0;
    for (std::uint64_t number = 1; number <= 30; ++number) {
        World world{belay::Seed{1}};
        Host& host = Programs::run_in(world, "host", [&failures] {
            const int fd = open("/file", O_RDWR | O_CREAT, 0644);
            CHECK(write(fd, "12345678", 8) == 8);
            sleep(1);
            const auto failed = [&](bool fails) {
                if (fails) CHECK(errno == EIO);
                failures += fails ? 1 : 0;
                return fails;
            };
            struct stat status {};
            if (!failed(stat("/file", &status) != 0)) CHECK(status.st_size == 8);
            if (!failed(fstat(fd, &status) != 0)) CHECK(status.st_size == 8);
            const int again = open("/file", O_RDWR | O_CREAT | O_APPEND, 0644);
            if (!failed(again < 0)) failed(write(again, "9", 1) != 1);
            failed(lseek(fd, 0, SEEK_END) < 0);
            DIR* const directory = opendir("/");
            if (!failed(directory == nullptr)) closedir(directory);
            return 0;
        });
        world.run_for(500ms);
        host.disk().fail_read_at(host.disk().reads() + number,
                                 std::make_error_code(std::errc::io_error));
        world.run_for(1s);
        CHECK(Programs::exit_code(host) == 0);
        CHECK(belay::as_text(host.disk().contents("/file")).substr(0, 8) == "12345678");
    }
    CHECK(failures > 5);
}

TEST_CASE("A program that ends has flushed its streams, and a killed one has not",
          "[libc_sim][program][sim]") {
    const int end = GENERATE(0, 1, 2);
    Programs p;
    Host& host = p.run("host", [end] {
        FILE* const f = fopen("/log", "w");
        CHECK(fputs("synced ", f) >= 0);
        CHECK(fflush(f) == 0);
        CHECK(fsync(fileno(f)) == 0);
        const int root = open("/", O_RDONLY);
        CHECK(fsync(root) == 0);
        CHECK(fputs("buffered", f) >= 0);
        if (end == 1) exit(3);
        if (end == 2) sleep(3600);
    });
    p.world.run_for(1s);
    if (end == 2) p.world.kill(host);
    const auto file = host.disk().open("log", belay::OpenMode::read);
    REQUIRE(file);
    CHECK(file->size().value() == (end == 2 ? 7 : 15));
    fflush(nullptr);  // the test's call: it writes no bytes of a program
    CHECK(file->size().value() == (end == 2 ? 7 : 15));
}

TEST_CASE("fflush of all streams in a program loses no bytes of another one",
          "[libc_sim][program][regression]") {
    const bool by_test = GENERATE(false, true);
    Programs p;
    const auto writes = [](const char* text, int seconds) {
        FILE* const f = fopen("/log", "w");
        CHECK(fputs(text, f) >= 0);
        sleep(1);
        if (seconds == 0) CHECK(fflush(nullptr) == 0);
        sleep(3);
        if (seconds != 0) CHECK(fputs(" and more", f) >= 0);
        if (seconds == 0) sleep(3600);
    };
    Host& one = p.run("one", [&] { writes("one", 0); });
    Host& other = p.run("other", [&] { writes("other", 3); });
    const auto size = [](Host& host) {
        return host.disk().open("log", belay::OpenMode::read)->size().value();
    };
    p.world.run_for(500ms);
    if (by_test) fflush(nullptr);
    CHECK(size(one) == 0);
    p.world.run_for(2s);
    CHECK(size(one) == 3);
    CHECK(size(other) == 0);
    p.world.run_for(3s);
    CHECK(Programs::exit_code(other) == 0);
    CHECK(size(other) == 14);
}

TEST_CASE("A full disk is reported for what the test flushed outside of a program",
          "[libc_sim][program][regression]") {
    Programs p;
    Host& host = p.run("host", [] {
        FILE* const f = fopen("/log", "w");
        CHECK(fputs("kept", f) >= 0);
        sleep(2);
        CHECK(fflush(f) == EOF);  // the disk is full
        CHECK(errno == ENOSPC);
        sleep(2);
        CHECK(fputs(" and more", f) >= 0);
        CHECK(fclose(f) == 0);
    });
    p.world.run_for(1s);
    fflush(nullptr);
    host.disk().limit_bytes(2);
    p.world.run_for(2s);
    host.disk().limit_bytes(1'000);
    p.world.run_for(2s);
    CHECK(Programs::exit_code(host) == 0);
    CHECK(host.disk().open("log", belay::OpenMode::read)->size().value() == 13);
}

TEST_CASE("A program that is killed in a call of a stream keeps no lock",
          "[libc_sim][program][regression]") {
    Programs p;
    Host& host = p.run("host", [] {
        int ends[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        FILE* const f = fdopen(ends[0], "r");
        char line[8];
        static_cast<void>(fgets(line, sizeof line, f));
    });
    p.world.run_for(1s);
    p.world.kill(host);
    std::thread{[] { fflush(nullptr); }}.join();
}

namespace {

/// Lets the kernel probe a peer that is silent for 10 s, and then 3 times every 5 s.
void keep_alive(int fd) {
    const auto set = [fd](int level, int name, int value) {
        CHECK(setsockopt(fd, level, name, &value, sizeof value) == 0);
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 10);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

}  // namespace

// The times were measured with Linux, between two network namespaces.
TEST_CASE("Setting an option of keep-alive does not restart its time",
          "[libc_sim][program][regression]") {
    const auto seconds_until_end = [](auto&& change) {
        Programs p;
        Host& server = p.run("server", [] {
            accept(listen_at(7), nullptr, nullptr);
            sleep(1'000'000);
        });
        double seconds = 0;
        Host& client = p.run("client", [&] {
            const int fd = tcp_socket();
            const auto set = [fd](int level, int name, int value) {
                CHECK(setsockopt(fd, level, name, &value, sizeof value) == 0);
            };
            set(IPPROTO_TCP, TCP_KEEPIDLE, 4);
            set(IPPROTO_TCP, TCP_KEEPINTVL, 2);
            set(IPPROTO_TCP, TCP_KEEPCNT, 2);
            REQUIRE(connect_to(fd, "10.0.0.1", 7) == 0);
            const auto start = std::chrono::steady_clock::now();
            change(set, false);
            sleep(3);
            change(set, true);
            char c = 0;
            CHECK(recv(fd, &c, 1, 0) == -1);
            CHECK(errno == ETIMEDOUT);
            seconds =
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        });
        p.world.after(100ms, [&] { p.world.network().partition(client, server); });
        p.world.run_for(1min);
        return seconds;
    };
    CHECK(seconds_until_end([](auto& set, bool later) {
              later ? set(IPPROTO_TCP, TCP_KEEPIDLE, 5) : set(SOL_SOCKET, SO_KEEPALIVE, 1);
          }) == 9);
    CHECK(seconds_until_end([](auto& set, bool later) {
              if (later) set(SOL_SOCKET, SO_KEEPALIVE, 1);
          }) == 11);
    CHECK(seconds_until_end([](auto& set, bool later) {
              set(SOL_SOCKET, SO_KEEPALIVE, 1);
              if (later) set(IPPROTO_TCP, TCP_KEEPCNT, 3);
          }) == 10);
}

TEST_CASE("A program can set keep-alive on a connection", "[libc_sim][program][regression]") {
    const auto play = [](auto&& before, auto&& fault) {
        Programs p;
        Host& server = p.run("server", [] {
            accept(listen_at(7), nullptr, nullptr);
            sleep(1'000'000);
        });
        std::string end = "nothing";
        Host& client = p.run("client", [&] {
            const int fd = tcp_socket();
            const auto set = [&](int level, int name, int value) {
                CHECK(setsockopt(fd, level, name, &value, sizeof value) == 0);
                int now = 0;
                socklen_t size = sizeof now;
                CHECK(getsockopt(fd, level, name, &now, &size) == 0);
                CHECK(now == value);
            };
            before(set);
            REQUIRE(connect_to(fd, "10.0.0.1", 7) == 0);
            char c = 0;
            const ssize_t n = recv(fd, &c, 1, 0);
            const auto at = std::chrono::steady_clock::now().time_since_epoch();
            end = (n == 0 ? "the end" : std::strerror(errno)) + std::string{" after "} +
                  std::to_string(std::chrono::duration_cast<std::chrono::seconds>(at).count() -
                                 1000) +
                  " s";
        });
        p.world.after(1s, [&] { fault(p.world.network(), client, server); });
        p.world.run_for(24h);
        return end;
    };
    const auto partition = [](auto& network, Host& a, Host& b) { network.partition(a, b); };
    const auto half_open = [](auto& network, Host& a, Host& b) { network.half_open(b, a); };
    const auto usual = [](auto& set) { set(SOL_SOCKET, SO_KEEPALIVE, 1); };
    const auto quick = [](auto& set) {
        set(SOL_SOCKET, SO_KEEPALIVE, 1);
        set(IPPROTO_TCP, TCP_KEEPIDLE, 10);
        set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
        set(IPPROTO_TCP, TCP_KEEPCNT, 3);
        const int none = 0;
        const int fd = tcp_socket();
        CHECK(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &none, sizeof none) == -1);
        CHECK(errno == EINVAL);
        close(fd);
    };
    CHECK(play([](auto&) {}, partition) == "nothing");
    CHECK(play([](auto& set) { set(SOL_SOCKET, SO_KEEPALIVE, 0); }, half_open) == "nothing");
    // Source: Linux, tcp_keepalive_time = 7200, tcp_keepalive_intvl = 75, tcp_keepalive_probes = 9.
    CHECK(play(usual, partition) == "Connection timed out after 7875 s");
    CHECK(play(usual, half_open) == "Connection reset by peer after 7200 s");
    CHECK(play(quick, partition) == "Connection timed out after 25 s");
    CHECK(play(quick, half_open) == "Connection reset by peer after 10 s");
    CHECK(play(quick, [](auto&, Host&, Host&) {}) == "nothing");
}

// Requests are sent after 0, 1, 3, 7, 15 and 31 s.
TEST_CASE("A connection that the probes end before its answer arrives is requested again",
          "[libc_sim][program][regression]") {
    const bool closes = GENERATE(true, false);
    Programs p;
    std::string result;
    Host& server = p.run("server", [closes] {
        const int listener = listen_at(7);
        const int first = accept(listener, nullptr, nullptr);
        keep_alive(first);
        char byte = 0;
        CHECK(recv(first, &byte, 1, 0) == -1);
        CHECK(errno == ETIMEDOUT);
        if (closes) close(first);
        send_text(accept(listener, nullptr, nullptr), "second");
        sleep(3600);
    });
    Host& client = p.run("client", [&] {
        const int fd = tcp_socket();
        if (connect_to(fd, "10.0.0.1", 7) != 0) return result = std::strerror(errno), 1;
        char text[7]{};
        CHECK(recv(fd, text, 6, 0) == 6);
        result = text;
        return 0;
    });
    p.world.network().partition_one_way(server, client);
    p.world.after(30s, [&] { p.world.network().heal_all(); });
    p.world.run_for(33s);
    CHECK(result == "second");
}

TEST_CASE("A connection that is closed before its answer arrives is established, and then ended",
          "[libc_sim][program][sim]") {
    Programs p;
    Host& server = p.run("server", [] {
        const int listener = listen_at(7);
        for (;;) close(accept(listener, nullptr, nullptr));
    });
    Host& client = p.run("client", [] {
        const int fd = tcp_socket();
        CHECK(connect_to(fd, "10.0.0.1", 7) == 0);
        char byte = 0;
        CHECK(recv(fd, &byte, 1, 0) == 0);
        return 7;
    });
    p.world.network().partition_one_way(server, client);
    p.world.after(8s, [&] { p.world.network().heal_all(); });
    p.world.run_for(14s);
    CHECK_FALSE(Programs::exit_code(client));
    p.world.run_for(3s);
    CHECK(Programs::exit_code(client) == 7);
}

TEST_CASE("A program that has shut down its output detects that its peer has lost the connection",
          "[libc_sim][program][regression]") {
    Programs p;
    Host& server = p.run("server", [] {
        accept(listen_at(7), nullptr, nullptr);
        sleep(1'000'000);
    });
    Host& client = p.run("client", [] {
        const int fd = tcp_socket();
        keep_alive(fd);
        REQUIRE(connect_to(fd, "10.0.0.1", 7) == 0);
        send_text(fd, "x");
        CHECK(shutdown(fd, SHUT_WR) == 0);
        char c = 0;
        CHECK(recv(fd, &c, 1, 0) == -1);
        CHECK(errno == ECONNRESET);
        return 0;
    });
    p.world.after(1s, [&] { p.world.network().half_open(server, client); });
    p.world.run_for(1min);
    CHECK(Programs::exit_code(client) == 0);
}

TEST_CASE("Data that arrives ends a count of unanswered probes",
          "[libc_sim][program][regression]") {
    Programs p;
    Host& server = p.run("server", [] {
        accept(listen_at(7), nullptr, nullptr);
        sleep(1'000'000);
    });
    std::chrono::steady_clock::duration lasted{};
    Host& client = p.run("client", [&] {
        const int fd = tcp_socket();
        keep_alive(fd);
        REQUIRE(connect_to(fd, "10.0.0.1", 7) == 0);
        const auto start = std::chrono::steady_clock::now();
        sleep(17);
        send_text(fd, "x");
        char c = 0;
        CHECK(recv(fd, &c, 1, 0) == -1);
        CHECK(errno == ETIMEDOUT);
        lasted = std::chrono::steady_clock::now() - start;
    });
    p.world.after(1s, [&] { p.world.network().partition(server, client); });
    p.world.after(16s, [&] { p.world.network().heal_all(); });  // after two probes
    p.world.after(18s, [&] { p.world.network().partition(server, client); });
    p.world.run_for(1h);
    CHECK(lasted == 17s + 25s);
}

TEST_CASE("A kernel does not repeat packets that only report free space",
          "[libc_sim][program][regression]") {
    Programs p;
    Host& server = p.run("server", [] {
        const int guest = accept(listen_at(7), nullptr, nullptr);
        const std::string much(200'000, 'x');
        static_cast<void>(send(guest, much.data(), much.size(), MSG_NOSIGNAL));
        sleep(1'000'000);
    });
    bool waits = false;
    Host& client = p.run("client", [&] {
        const int fd = tcp_socket();
        REQUIRE(connect_to(fd, "10.0.0.1", 7) == 0);
        send_text(fd, "x");
        sleep(10);
        char all[100'000];
        CHECK(recv(fd, all, sizeof all, 0) > 50'000);  // the server is notified of the space
        waits = true;
        static_cast<void>(recv(fd, all, 1, 0));
        waits = false;
    });
    // The packet is under way.
    while (!waits) p.world.run_for(10us);
    p.world.network().partition(server, client);
    p.world.run_for(24h);
    CHECK(waits);
}

TEST_CASE("A program may size the buffers of its sockets", "[libc_sim][program][regression]") {
    const auto sizes = [](const std::vector<int>& wishes) {
        std::vector<int> out;
        const int fd = tcp_socket();
        for (const int name : {SO_RCVBUF, SO_SNDBUF}) {
            for (const int wanted : wishes) {
                int now = 0;
                socklen_t size = sizeof now;
                CHECK(setsockopt(fd, SOL_SOCKET, name, &wanted, sizeof wanted) == 0);
                CHECK(getsockopt(fd, SOL_SOCKET, name, &now, &size) == 0);
                out.push_back(now);
            }
        }
        close(fd);
        return out;
    };
    std::vector<int> in_world;
    Programs p;
    std::vector<int> largest;
    p.run("host", [&] {
        in_world = sizes({100'000, 1});
        largest = sizes({1'000'000, -1});
    });
    p.world.run_for(1s);
    CHECK(in_world == std::vector<int>{200'000, 2'304, 200'000, 4'608});
    CHECK(in_world == sizes({100'000, 1}));  // on the real kernel
    // As on Linux, a negative size is the largest.   Source: Linux, the default of rmem_max.
    CHECK(largest == std::vector<int>(4, 425'984));
}

TEST_CASE("An accepted socket has the options of its listener", "[libc_sim][program][regression]") {
    const auto options = [] {
        const int listener = tcp_socket();
        sockaddr_in at = address("127.0.0.1", 0);
        socklen_t size = sizeof at;
        CHECK(bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
        CHECK(listen(listener, 1) == 0);
        CHECK(getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) == 0);
        keep_alive(listener);
        const int bytes = 50'000;
        const timeval limit{.tv_sec = 2, .tv_usec = 0};
        const linger how{1, 0};
        for (const int name : {SO_RCVBUF, SO_SNDBUF}) {
            CHECK(setsockopt(listener, SOL_SOCKET, name, &bytes, sizeof bytes) == 0);
        }
        for (const int name : {SO_RCVTIMEO, SO_SNDTIMEO}) {
            CHECK(setsockopt(listener, SOL_SOCKET, name, &limit, sizeof limit) == 0);
        }
        CHECK(setsockopt(listener, SOL_SOCKET, SO_LINGER, &how, sizeof how) == 0);
        const int fd = tcp_socket();
        CHECK(connect_to(fd, "127.0.0.1", ntohs(at.sin_port)) == 0);
        const int guest = accept(listener, nullptr, nullptr);
        std::vector<long> out;
        const auto note = [&](int level, int name) {
            long values[2] = {};
            socklen_t space = sizeof values;
            CHECK(getsockopt(guest, level, name, values, &space) == 0);
            out.insert(out.end(), {name, values[0], values[1]});
        };
        for (const int name :
             {SO_KEEPALIVE, SO_RCVBUF, SO_SNDBUF, SO_RCVTIMEO, SO_SNDTIMEO, SO_LINGER}) {
            note(SOL_SOCKET, name);
        }
        for (const int name : {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT}) note(IPPROTO_TCP, name);
        close(guest);  // resets the connection
        char c = 0;
        CHECK(recv(fd, &c, 1, 0) == -1);
        CHECK(errno == ECONNRESET);
        close(fd);
        close(listener);
        return out;
    };
    std::vector<long> in_world;
    Programs p;
    p.run("host", [&] { in_world = options(); });
    p.world.run_for(1s);
    CHECK(in_world == options());  // on the real kernel
}

TEST_CASE("A killed program is abandoned, and its peer sees the end", "[libc_sim][program][sim]") {
    struct Notices {
        bool& destroyed;
        ~Notices() { destroyed = true; }
    };
    bool destroyed = false;
    int starts = 0;
    Programs p;
    Host& server = p.run("server", [&] {
        ++starts;
        const Notices notices{destroyed};
        serve_echo();
    });
    Host& client = p.run("client", [] {
        const int fd = tcp_socket();
        REQUIRE(connect_to(fd, "10.0.0.1", 7) == 0);
        char x = 0;
        CHECK(recv(fd, &x, 1, 0) == 0);
        sleep(10);
        const int again = tcp_socket();
        return connect_to(again, "10.0.0.1", 7);
    });
    p.world.run_for(1s);
    p.world.kill(server);
    p.world.run_for(1s);
    CHECK_FALSE(destroyed);
    p.world.restart(server);
    p.world.run_for(1min);
    CHECK(Programs::exit_code(client) == 0);
    CHECK(starts == 2);
}

TEST_CASE("A port is free 60 s after the last connection that a killed program had",
          "[libc_sim][program][regression]") {
    const bool reuses = GENERATE(false, true);
    Programs p;
    std::vector<int> errors;
    Host& server = p.run("server", [&] {
        const int listener = tcp_socket();
        const int on = reuses ? 1 : 0;
        CHECK(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
        const sockaddr_in at = address("0.0.0.0", 7);
        const bool is_bound =
            bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
        errors.push_back(is_bound ? 0 : errno);
        if (is_bound) listen(listener, 1), accept(listener, nullptr, nullptr);
        sleep(3600);
    });
    p.run("client", [] {
        const int fd = tcp_socket();
        REQUIRE(connect_to(fd, "10.0.0.1", 7) == 0);
        CHECK(receive_all(fd).empty());
        close(fd);
        sleep(3600);
    });
    p.world.run_for(1s);
    p.world.kill(server);
    // The ends of both kernels take 2 to 10 ms.
    for (const auto wait : {1ms, 59'900ms, 200ms}) {
        p.world.run_for(wait);
        p.world.restart(server);
        p.world.run_for(0s);
        p.world.kill(server);
    }
    const int in_use = reuses ? 0 : EADDRINUSE;
    CHECK(errors == std::vector<int>{0, in_use, in_use, 0});
}

TEST_CASE("Objects that a program has captured are destroyed in the program",
          "[libc_sim][program][regression]") {
    struct Notices {
        explicit Notices(std::string& text) : log{text} {}
        std::string& log;
        int fd = -1;
        ~Notices() { log += close(fd) == 0 ? "closed " : "failed "; }
    };
    std::string log;
    World world{belay::Seed{1}};
    const auto start = [&](Host& h, unsigned int seconds) {
        return std::make_unique<Program>(h, [n = std::make_unique<Notices>(log), seconds] {
            n->fd = eventfd(0, 0);
            sleep(seconds);
        });
    };
    Host& killed = world.host("killed", [&](Host& h) { return start(h, 3600); });
    world.host("ends", [&](Host& h) { return start(h, 2); });
    world.run_for(1s);
    world.kill(killed);
    CHECK(log.empty());
    world.run_for(2s);
    CHECK(log == "closed ");
}

TEST_CASE("A frozen program continues at the same place", "[libc_sim][program][sim]") {
    Programs p;
    Host& host = p.run("host", [] {
        const auto start = std::chrono::steady_clock::now();
        sleep(1);
        return static_cast<int>((std::chrono::steady_clock::now() - start) / 1s);
    });
    p.world.run_for(500ms);
    p.world.pause(host);
    p.world.run_for(9500ms);
    p.world.resume(host);
    p.world.run_for(1ms);
    CHECK(Programs::exit_code(host) == 10);
}

}  // namespace libc_sim_test
