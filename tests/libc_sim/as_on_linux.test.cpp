// SPDX-License-Identifier: MIT
// Goal: a world answers as Linux does. Method: probes that run on the system of the test, with
// loopback and a directory of its own, and in a world; both give the same text.
#include <belay/libc_sim/program.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include <belay/sim/world.hpp>

#include "support/catch.hpp"

namespace libc_as_on_linux_test {

namespace {

using belay::Seed;
using belay::sim::Host;
using belay::sim::Program;
using belay::sim::World;
using namespace std::chrono_literals;

/// Returns a result, or the error of a call.
std::string text(long result) {
    return (result >= 0 ? std::to_string(result) : std::string{strerrorname_np(errno)}) + ' ';
}

/// A connection over loopback.
struct Pair {
    explicit Pair(int backlog = 16, bool reuses_address = false) {
        const int on = reuses_address ? 1 : 0;
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        const bool listens = bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0 &&
                             listen(listener, backlog) == 0;
        if (!listens || getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0)
            _exit(9);
        address = at;
    }
    ~Pair() {
        for (const int fd : {client, server, listener}) close(fd);
    }
    void open() {
        static_cast<void>(connect_to(client));
        server = accept(listener, nullptr, nullptr);
    }
    [[nodiscard]] int connect_to(int fd) const {
        return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    int server = -1;
    sockaddr_in address{};
};
/// Waits until a descriptor has an event that poll() reports.
void wait_for(int fd, short events) {
    pollfd p{fd, events, 0};
    poll(&p, 1, 10'000);
}
long receive(int fd) {
    char c = 0;
    return recv(fd, &c, 1, MSG_DONTWAIT);
}
long send_one(int fd) { return send(fd, "x", 1, MSG_NOSIGNAL); }
long make_file(const char* path, const char* content, int flags = O_CREAT | O_RDWR | O_TRUNC) {
    const int fd = open(path, flags, 0644);
    if (fd < 0) return -1;
    const long n = write(fd, content, std::strlen(content));
    close(fd);
    return n;
}
std::string content(const char* path) {
    char bytes[64]{};
    const int fd = open(path, O_RDONLY);
    const ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes - 1);
    close(fd);
    return (n < 0 ? strerrorname_np(errno) : std::string{bytes}) + ' ';
}
long links(int fd) {
    struct stat s {};
    return fstat(fd, &s) != 0 ? -1 : static_cast<long>(s.st_nlink);
}

using Probe = std::function<std::string()>;

/// Runs a probe on the system, in a new directory.
std::string on_linux(const Probe& probe) {
    const auto before = std::filesystem::current_path();
    std::string name = (std::filesystem::temp_directory_path() / "belay-probe-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) return "no directory";
    std::filesystem::current_path(name);
    std::string result = probe();
    std::filesystem::current_path(before);
    std::filesystem::remove_all(name);
    return result;
}
std::string in_world(const Probe& probe) {
    World world{Seed{1}};
    std::string result;
    world.host("a",
               [&](Host& h) { return std::make_unique<Program>(h, [&] { result = probe(); }); });
    world.run_for(1h);
    return result;
}
void check(const char* what, const std::string& expected, const Probe& probe) {
    INFO(what);
    CHECK(on_linux(probe) == expected);
    CHECK(in_world(probe) == expected);
}

}  // namespace

TEST_CASE("Sockets of a program answer as on Linux", "[libc_sim][linux][regression]") {
    check("the peer's end comes before the reset that follows it", "1 0 0 EPIPE ", [] {
        Pair p;
        p.open();
        close(p.server);
        p.server = -1;
        std::string out = text(send_one(p.client));
        wait_for(p.client, POLLERR | POLLHUP);
        for (int i = 0; i < 2; ++i) out += text(receive(p.client));
        return out + text(send_one(p.client));
    });
    check("a second connect() reports that the first has succeeded", "EINPROGRESS 0 EISCONN ", [] {
        Pair p;
        fcntl(p.client, F_SETFL, O_NONBLOCK);
        std::string out = text(p.connect_to(p.client));
        wait_for(p.client, POLLOUT);
        out += text(p.connect_to(p.client));
        return out + text(p.connect_to(p.client));
    });
    check("a connect() that has waited", "0 EISCONN ", [] {
        Pair p;
        std::string out = text(p.connect_to(p.client));
        return out + text(p.connect_to(p.client));
    });
    check("options are off until they are set", "0 0 1 1 ", [] {
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        std::string out;
        const auto both = [&] {
            int value = 0;
            socklen_t size = sizeof value;
            getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &size);
            out += text(value);
            getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size);
            out += text(value);
        };
        both();
        const int on = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        both();
        close(fd);
        return out;
    });
    const auto bound_again = [](bool before, bool after, bool closes) {
        return [=] {
            Pair p{16, before};
            p.open();
            std::string out;
            if (closes) {
                close(p.server);
                p.server = -1;
                wait_for(p.client, POLLIN);
                close(p.client);
            }
            close(p.listener);
            const int again = p.listener = socket(AF_INET, SOCK_STREAM, 0);
            const int on = after ? 1 : 0;
            setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
            return text(bind(again, reinterpret_cast<sockaddr*>(&p.address), sizeof p.address));
        };
    };
    for (const bool closes : {false, true}) {
        check("a port of connections, without SO_REUSEADDR", "EADDRINUSE ",
              bound_again(false, false, closes));
        check("only the later socket has SO_REUSEADDR", "EADDRINUSE ",
              bound_again(false, true, closes));
        check("only the earlier socket has SO_REUSEADDR", "EADDRINUSE ",
              bound_again(true, false, closes));
        check("both sockets have SO_REUSEADDR", "0 ", bound_again(true, true, closes));
    }
    check("one connection more than the backlog waits", "2 ", [] {
        Pair p{1};
        int connected = 0;
        int fds[5];
        for (int& fd : fds) {
            fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            static_cast<void>(p.connect_to(fd));
            pollfd entry{fd, POLLOUT, 0};
            // Linux repeats the request of the others after 1 s.
            if (poll(&entry, 1, 300) == 1 && (entry.revents & POLLERR) == 0) ++connected;
        }
        for (const int fd : fds) close(fd);
        return text(connected);
    });
    check("select() leaves the time that is left", "1 whole 0 none ", [] {
        Pair p;
        p.open();
        std::string out;
        for (const bool has_input : {true, false}) {
            if (has_input) send_one(p.server), wait_for(p.client, POLLIN);
            if (!has_input) receive(p.client);
            fd_set reads;
            FD_ZERO(&reads);
            FD_SET(p.client, &reads);
            timeval limit{has_input ? 100 : 0, has_input ? 0 : 20'000};
            out += text(select(p.client + 1, &reads, nullptr, nullptr, &limit));
            out += limit.tv_sec >= 99 ? "whole " : limit.tv_usec == 0 ? "none " : "some ";
        }
        return out;
    });
}

TEST_CASE("Files of a program answer as on Linux", "[libc_sim][linux][regression]") {
    check("pwrite() appends to a file with O_APPEND", "3 1 abcX ", [] {
        std::string out = text(make_file("f", "abc"));
        const int fd = open("f", O_WRONLY | O_APPEND);
        out += text(pwrite(fd, "X", 1, 0));
        close(fd);
        return out + content("f");
    });
    check("a file that was removed or replaced has no link", "1 0 1 0 ", [] {
        make_file("f", "old");
        make_file("g", "new");
        const int f = open("f", O_RDONLY), g = open("g", O_RDONLY);
        std::string out = text(links(f));
        rename("g", "f");
        out += text(links(f)) + text(links(g));
        unlink("f");
        out += text(links(g));
        close(f);
        close(g);
        return out;
    });
    check("rename() of a file does not replace a directory", "EISDIR old ENOENT ENOTDIR ", [] {
        make_file("f", "old");
        mkdir("d", 0755);
        make_file("d/x", "x");
        std::string out = text(rename("f", "d"));
        out += content("f");
        out += text(rename("none", "f"));
        return out + text(rename("f/x", "g"));
    });
    check("a file is no directory", "ENOTDIR ENOTDIR ENOTDIR ENOTDIR ENOTDIR 0 ", [] {
        make_file("f", "old");
        struct stat s {};
        std::string out = text(open("f/y", O_RDONLY));
        out += text(open("f/y", O_CREAT | O_RDWR, 0644));
        out += text(stat("f/", &s));
        out += text(mkdir("f/d", 0755));
        out += text(unlink("f/"));
        return out + text(stat("f", &s));
    });
    check("names have 255 bytes, and paths 4,095", "0 ENAMETOOLONG ENAMETOOLONG ENAMETOOLONG ", [] {
        const std::string longest(255, 'n');
        std::string deep = "f";
        while (deep.size() < 4'200) deep += "/./././.";
        std::string out = text(make_file(longest.c_str(), ""));
        out += text(open((longest + "n").c_str(), O_CREAT | O_RDWR, 0644));
        out += text(mkdir((longest + "n").c_str(), 0755));
        return out + text(open(deep.c_str(), O_RDONLY));
    });
    check("fchmod() ignores the type of a file, and copy_file works", "0 copied 0 2 pied 4 ", [] {
        umask(022);
        make_file("f", "copied");
        const int fd = open("f", O_RDWR);
        std::string out = text(fchmod(fd, S_IFREG | 0644));
        close(fd);
        std::error_code error;
        std::filesystem::copy_file("f", "g", error);
        out += content("g") + text(error.value());
        const int from = open("f", O_RDONLY), to = open("h", O_CREAT | O_RDWR, 0644);
        lseek(from, 2, SEEK_SET);
        off_t at = 4;
        static_cast<void>(sendfile(to, from, nullptr, 2));
        out += text(sendfile(to, from, &at, 100));
        out += content("h");
        out += text(lseek(from, 0, SEEK_CUR));
        close(from);
        close(to);
        return out;
    });
}

TEST_CASE("A signal interrupts the call in which a program waits", "[libc_sim][signals][sim]") {
    const auto in_world = [](const Probe& probe) {
        World world{Seed{1}};
        std::string result;
        Host& host = world.host(
            "a", [&](Host& h) { return std::make_unique<Program>(h, [&] { result = probe(); }); });
        world.play(belay::sim::Scenario{}.at(1s, belay::sim::interrupt(host.name())));
        world.run_for(1h);
        return result;
    };
    const auto waits = [](auto call) {
        return [call]() -> std::string {
            Pair p;
            p.open();
            const int before = static_cast<int>(time(nullptr) % 1000);
            return text(call(p)) + text(time(nullptr) % 1000 - before);
        };
    };
    CHECK(in_world(waits([](Pair& p) { return recv(p.client, &p, 1, 0); })) == "EINTR 1 ");
    CHECK(in_world(waits([](Pair& p) { return accept(p.listener, nullptr, nullptr); })) ==
          "EINTR 1 ");
    CHECK(in_world(waits([](Pair& p) {
              pollfd entry{p.client, POLLIN, 0};
              return poll(&entry, 1, -1);
          })) == "EINTR 1 ");
    CHECK(in_world(waits([](Pair& p) {
              fd_set reads;
              FD_ZERO(&reads);
              FD_SET(p.client, &reads);
              return select(p.client + 1, &reads, nullptr, nullptr, nullptr);
          })) == "EINTR 1 ");
    CHECK(in_world(waits([](Pair&) { return sleep(10); })) == "9 1 ");
    CHECK(in_world(waits([](Pair&) { return usleep(10'000'000); })) == "EINTR 1 ");
    CHECK(in_world(waits([](Pair& p) {
              const std::string all(1'000'000, 'x');
              const ssize_t sent = send(p.client, all.data(), all.size(), MSG_NOSIGNAL);
              return sent > 0 && sent < 1'000'000 ? 7L : sent;
          })) == "7 1 ");
    // A sync of a file is not interrupted, and a signal that interrupts nothing is forgotten.
    CHECK(in_world([] {
              make_file("f", "x");
              const int fd = open("f", O_RDWR);
              int synced = 0;
              while (time(nullptr) % 1000 < 603 && fsync(fd) == 0) ++synced;
              return (synced > 200 ? "synced " : "failed ") + text(usleep(1000));
          }) == "synced 0 ");
}

TEST_CASE("Reads of files return less than they could for a time", "[libc_sim][files][sim]") {
    World world{Seed{1}};
    std::string result;
    Host& host = world.host("a", [&](Host& h) {
        return std::make_unique<Program>(h, [&] {
            make_file("f", "0123456789");
            usleep(1000);  // the fault begins
            for (int i = 0; i < 2; ++i, sleep(2)) {
                char bytes[11]{};
                const int fd = open("f", O_RDONLY);
                int reads = 0;
                for (ssize_t n = 1, at = 0; n > 0; at += n, ++reads) {
                    n = read(fd, bytes + at, static_cast<std::size_t>(10 - at));
                }
                close(fd);
                result += bytes + std::string{reads > 2 ? " short " : " whole "};
            }
        });
    });
    world.play(belay::sim::Scenario{}.during(0s, 1s, belay::sim::shorten_reads(host.name())));
    world.run_for(1min);
    CHECK(result == "0123456789 short 0123456789 whole ");
}

}  // namespace libc_as_on_linux_test
