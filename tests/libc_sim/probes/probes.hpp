// SPDX-License-Identifier: MIT
// Probes: small programs that run on Linux, over loopback and in a directory of their own, and in a
// world. linux.txt has the answers of Linux.
#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace libc_as_on_linux_test {

/// Returns a result, or the error of a call.
inline std::string text(long result) {
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
inline void wait_for(int fd, short events) {
    pollfd p{fd, events, 0};
    poll(&p, 1, 10'000);
}
inline long receive(int fd) {
    char c = 0;
    return recv(fd, &c, 1, MSG_DONTWAIT);
}
inline long send_one(int fd) { return send(fd, "x", 1, MSG_NOSIGNAL); }
inline long make_file(const char* path, const char* content,
                      int flags = O_CREAT | O_RDWR | O_TRUNC) {
    const int fd = open(path, flags, 0644);
    if (fd < 0) return -1;
    const long n = write(fd, content, std::strlen(content));
    close(fd);
    return n;
}
inline std::string content(const char* path) {
    char bytes[64]{};
    const int fd = open(path, O_RDONLY);
    const ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes - 1);
    close(fd);
    return (n < 0 ? strerrorname_np(errno) : std::string{bytes}) + ' ';
}
inline long links(int fd) {
    struct stat s {};
    return fstat(fd, &s) != 0 ? -1 : static_cast<long>(s.st_nlink);
}

using Run = std::function<std::string()>;

struct Probe {
    const char* name;
    Run run;
    const char* reason = "";  ///< why a world answers something else
};

/// Returns the flags of poll(), without a wait.
inline std::string flags_of(int fd) {
    pollfd p{fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    poll(&p, 1, 0);
    std::string out = "[";
    const auto add = [&](int flag, const char* name) {
        if ((p.revents & flag) != 0) out += name;
    };
    add(POLLIN, "in ");
    add(POLLOUT, "out ");
    add(POLLERR, "err ");
    add(POLLHUP, "hup ");
    add(POLLRDHUP, "rdhup ");
    return out + "] ";
}
inline Run bound_again(bool before, bool after, bool closes) {
    return [=] {
        Pair p{16, before};
        p.open();
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
}

inline std::vector<Probe> probes_of_sockets() {
    return {
        {"the peer's end comes before the reset that follows it",
         [] {
             Pair p;
             p.open();
             close(p.server);
             p.server = -1;
             std::string out = text(send_one(p.client));
             wait_for(p.client, POLLERR | POLLHUP);
             for (int i = 0; i < 2; ++i) out += text(receive(p.client));
             return out + text(send_one(p.client));
         }},
        {"a second connect() reports that the first has succeeded",
         [] {
             Pair p;
             fcntl(p.client, F_SETFL, O_NONBLOCK);
             std::string out = text(p.connect_to(p.client));
             wait_for(p.client, POLLOUT);
             out += text(p.connect_to(p.client));
             return out + text(p.connect_to(p.client));
         }},
        {"a connect() that has waited",
         [] {
             Pair p;
             std::string out = text(p.connect_to(p.client));
             return out + text(p.connect_to(p.client));
         }},
        {"options are off until they are set",
         [] {
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
         }},
        {"one connection more than the backlog waits",
         [] {
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
         }},
        {"select() leaves the time that is left",
         [] {
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
         }},
        {"a port of open connections, without SO_REUSEADDR", bound_again(false, false, false)},
        {"a port of open connections, only the later socket has SO_REUSEADDR",
         bound_again(false, true, false)},
        {"a port of open connections, only the earlier socket has SO_REUSEADDR",
         bound_again(true, false, false)},
        {"a port of open connections, both sockets have SO_REUSEADDR",
         bound_again(true, true, false)},
        {"a port of closed connections, without SO_REUSEADDR", bound_again(false, false, true)},
        {"a port of closed connections, both sockets have SO_REUSEADDR",
         bound_again(true, true, true)},
        {"shutdown() after both ends have ended",
         [] {
             Pair p;
             p.open();
             shutdown(p.client, SHUT_WR);
             wait_for(p.server, POLLRDHUP);
             shutdown(p.server, SHUT_WR);
             wait_for(p.client, POLLHUP);
             std::string out =
                 text(shutdown(p.client, SHUT_RD)) + text(shutdown(p.client, SHUT_WR));
             sockaddr_in at{};
             socklen_t size = sizeof at;
             out += text(getpeername(p.client, reinterpret_cast<sockaddr*>(&at), &size));
             return out + flags_of(p.client) + text(receive(p.client)) + text(send_one(p.client));
         }},
        {"data for an end that has shut both directions",
         [] {
             Pair p;
             p.open();
             std::string out = text(shutdown(p.client, SHUT_RDWR));
             wait_for(p.server, POLLIN);
             out += flags_of(p.client) + flags_of(p.server) + text(receive(p.client));
             out += text(send_one(p.client)) + text(send_one(p.server));
             wait_for(p.server, 0);
             return out + flags_of(p.server) + text(send_one(p.server));
         }},
        {"shutdown() of the reading direction, and data after it",
         [] {
             Pair p;
             p.open();
             std::string out = text(shutdown(p.client, SHUT_RD)) + text(receive(p.client));
             out += text(send_one(p.server));
             return out + flags_of(p.server) + text(shutdown(p.client, 7));
         }},
        {"a socket without a connection",
         [] {
             Pair p;
             sockaddr_in at{};
             socklen_t size = sizeof at;
             std::string out = text(send_one(p.client)) + text(receive(p.client));
             out += text(getpeername(p.client, reinterpret_cast<sockaddr*>(&at), &size));
             return out + text(shutdown(p.client, SHUT_WR)) + flags_of(p.client);
         }},
        {"reads of 0 bytes, without data, with data and at the end",
         [] {
             Pair p;
             p.open();
             char c = 0;
             std::string out = text(recv(p.client, &c, 0, MSG_DONTWAIT));
             send_one(p.server);
             wait_for(p.client, POLLIN);
             out += text(recv(p.client, &c, 0, MSG_DONTWAIT)) + text(receive(p.client));
             close(p.server);
             p.server = -1;
             wait_for(p.client, POLLIN);
             return out + text(recv(p.client, &c, 0, MSG_DONTWAIT));
         }},
        {"a connect() without a wait that is refused",
         [] {
             Pair p;
             close(p.listener);
             p.listener = -1;
             fcntl(p.client, F_SETFL, O_NONBLOCK);
             std::string out = text(p.connect_to(p.client));
             wait_for(p.client, POLLOUT);
             int error = 0;
             socklen_t size = sizeof error;
             getsockopt(p.client, SOL_SOCKET, SO_ERROR, &error, &size);
             out += strerrorname_np(error);
             return out + ' ' + flags_of(p.client) + text(receive(p.client));
         },
         "A world reports such a socket as one that was never connected."},
        {"a write of 1 MB without a wait",
         [] {
             Pair p;
             p.open();
             const std::string all(1'000'000, 'x');
             const ssize_t n = send(p.client, all.data(), all.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
             return std::string{n == 1'000'000 ? "whole" : "short"};
         },
         "The window of a world is 64 KiB."},
        {"bind() to a port of a socket that does not listen",
         [] {
             Pair p;
             const int one = socket(AF_INET, SOCK_STREAM, 0);
             sockaddr_in at = p.address;
             at.sin_port = 0;
             socklen_t size = sizeof at;
             static_cast<void>(bind(one, reinterpret_cast<sockaddr*>(&at), sizeof at));
             getsockname(one, reinterpret_cast<sockaddr*>(&at), &size);
             std::string out = text(bind(p.client, reinterpret_cast<sockaddr*>(&at), sizeof at));
             close(one);
             return out;
         },
         "The second listen() of a world fails instead."},
        {"a peek, and the number of bytes",
         [] {
             Pair p;
             p.open();
             char bytes[8];
             static_cast<void>(send(p.server, "12345", 5, MSG_NOSIGNAL));
             std::string out;
             for (const int flags : {int{MSG_PEEK}, 0}) {
                 wait_for(p.client, POLLIN);
                 const ssize_t n = recv(p.client, bytes, 1, flags);
                 out += text(n) + bytes[0] + ' ';
             }
             return out;
         }},
        {"edge-triggered epoll reports each arrival once",
         [] {
             Pair p;
             p.open();
             const int epoll = epoll_create1(0);
             epoll_event event{EPOLLIN | EPOLLET, {}};
             std::string out = text(epoll_ctl(epoll, EPOLL_CTL_ADD, p.client, &event));
             out += text(epoll_ctl(epoll, EPOLL_CTL_ADD, p.client, &event));
             for (int i = 0; i < 2; ++i) {
                 send_one(p.server);
                 out += text(epoll_wait(epoll, &event, 1, 1'000)) +
                        text(epoll_wait(epoll, &event, 1, 0));
             }
             close(epoll);
             return out;
         }},
        {"poll() of a closed and of a negative descriptor",
         [] {
             pollfd p[2]{{500, POLLIN, 0}, {-1, POLLIN, 0}};
             std::string out = text(poll(p, 2, 0));
             return out + text(p[0].revents) + text(p[1].revents);
         }},
        {"eventfd() as a semaphore, and a space that is too small",
         [] {
             const int fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
             std::uint64_t value = 0;
             std::string out;
             for (int i = 0; i < 3; ++i) out += text(read(fd, &value, sizeof value));
             out += text(read(fd, &value, 4));
             value = ~std::uint64_t{0};
             out += text(write(fd, &value, sizeof value));
             close(fd);
             return out;
         }},
    };
}

inline std::vector<Probe> probes_of_files() {
    return {
        {"pwrite() appends to a file with O_APPEND",
         [] {
             std::string out = text(make_file("f", "abc"));
             const int fd = open("f", O_WRONLY | O_APPEND);
             out += text(pwrite(fd, "X", 1, 0));
             close(fd);
             return out + content("f");
         }},
        {"a file that was removed or replaced has no link",
         [] {
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
         }},
        {"rename() of a file does not replace a directory",
         [] {
             make_file("f", "old");
             mkdir("d", 0755);
             make_file("d/x", "x");
             std::string out = text(rename("f", "d"));
             out += content("f");
             out += text(rename("none", "f"));
             return out + text(rename("f/x", "g"));
         }},
        {"a file is no directory",
         [] {
             make_file("f", "old");
             struct stat s {};
             std::string out = text(open("f/y", O_RDONLY));
             out += text(open("f/y", O_CREAT | O_RDWR, 0644));
             out += text(stat("f/", &s));
             out += text(mkdir("f/d", 0755));
             out += text(unlink("f/"));
             return out + text(stat("f", &s));
         }},
        {"names have 255 bytes, and paths 4,095",
         [] {
             const std::string longest(255, 'n');
             std::string deep = "f";
             while (deep.size() < 4'200) deep += "/./././.";
             std::string out = text(make_file(longest.c_str(), ""));
             out += text(open((longest + "n").c_str(), O_CREAT | O_RDWR, 0644));
             out += text(mkdir((longest + "n").c_str(), 0755));
             return out + text(open(deep.c_str(), O_RDONLY));
         }},
        {"fchmod() ignores the type of a file, and copy_file works",
         [] {
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
         }},
        {"the time of modification follows writes",
         [] {
             make_file("f", "");
             struct stat before {
             }, after{};
             stat("f", &before);
             const int fd = open("f", O_WRONLY);
             const timespec wait{0, 20'000'000};
             nanosleep(&wait, nullptr);
             static_cast<void>(write(fd, "x", 1));
             fstat(fd, &after);
             close(fd);
             const auto ns = [](const timespec& t) { return t.tv_sec * 1'000'000'000 + t.tv_nsec; };
             return std::string{ns(before.st_mtim) < ns(after.st_mtim) ? "later" : "equal"};
         }},
        {"lseek() to places that are not there, to data and to a hole",
         [] {
             make_file("f", "abcdef");
             const int fd = open("f", O_RDONLY);
             std::string out = text(lseek(fd, -1, SEEK_SET)) + text(lseek(fd, -2, SEEK_END));
             out += text(lseek(fd, 0, SEEK_HOLE)) + text(lseek(fd, 2, SEEK_DATA));
             out += text(lseek(fd, 6, SEEK_DATA)) + text(lseek(fd, 0, 99));
             close(fd);
             return out;
         }},
        {"read and write against the mode of open()",
         [] {
             make_file("f", "x");
             char c = 0;
             const int out_only = open("f", O_WRONLY), in_only = open("f", O_RDONLY);
             std::string out = text(read(out_only, &c, 1)) + text(write(in_only, &c, 1));
             out += text(ftruncate(in_only, 0)) + text(ftruncate(out_only, -1));
             close(out_only);
             close(in_only);
             return out;
         }},
        {"errors of open()",
         [] {
             make_file("f", "x");
             mkdir("d", 0755);
             std::string out =
                 text(open("none", O_RDONLY)) + text(open("none/x", O_CREAT | O_RDWR, 0644));
             out += text(open("f", O_CREAT | O_EXCL | O_RDWR, 0644)) + text(open("f", O_DIRECTORY));
             return out + text(open("d", O_RDWR)) + text(open("", O_RDONLY));
         }},
        {"the mode of a new file",
         [] {
             umask(027);
             close(open("f", O_CREAT | O_RDWR, 0666));
             umask(022);
             struct stat s {};
             stat("f", &s);
             return std::string{(s.st_mode & 0777) == 0640 ? "0640" : "0644"};
         },
         "All files of a world have the mode 0644."},
        {"an empty directory in a list",
         [] {
             mkdir("d", 0755);
             mkdir("d/e", 0755);
             make_file("d/f", "x");
             int count = 0;
             DIR* const directory = opendir("d");
             while (readdir(directory) != nullptr) ++count;
             closedir(directory);
             return text(count);
         },
         "A world lists directories with files only."},
        {"a path through a directory that is not there",
         [] {
             make_file("f", "x");
             return text(access("none/../f", F_OK)) + text(access("./f", F_OK));
         },
         "A world removes `..` from a path before it looks."},
        {"a directory that is removed",
         [] {
             mkdir("d", 0755);
             return text(remove("d")) + text(access("d", F_OK));
         },
         "A world refuses it, with a sentence."},
    };
}

}  // namespace libc_as_on_linux_test
