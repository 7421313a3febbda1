// SPDX-License-Identifier: MIT
// Probes: small programs that run on Linux, over loopback and in a directory of their own, and in a
// world. linux.txt has the answers of Linux.
#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace libc_as_on_linux_test {

/// Returns a result, or the error of a call.
inline std::string text(long result) {
    return (result >= 0 ? std::to_string(result) : std::string{strerrorname_np(errno)}) + ' ';
}

/// An answer. `out << text(f()) << text(g())` calls f() first.
struct Out : std::string {
    Out& operator<<(std::string_view more) { return append(more), *this; }
    Out& operator<<(char more) { return push_back(more), *this; }
};

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
             Out out;
             out << text(send_one(p.client));
             wait_for(p.client, POLLERR | POLLHUP);
             for (int i = 0; i < 2; ++i) out << text(receive(p.client));
             return out << text(send_one(p.client));
         }},
        {"a second connect() reports that the first has succeeded",
         [] {
             Pair p;
             fcntl(p.client, F_SETFL, O_NONBLOCK);
             Out out;
             out << text(p.connect_to(p.client));
             wait_for(p.client, POLLOUT);
             out << text(p.connect_to(p.client));
             return out << text(p.connect_to(p.client));
         }},
        {"a connect() that has waited",
         [] {
             Pair p;
             Out out;
             out << text(p.connect_to(p.client));
             return out << text(p.connect_to(p.client));
         }},
        {"options are off until they are set",
         [] {
             const int fd = socket(AF_INET, SOCK_STREAM, 0);
             Out out;
             const auto both = [&] {
                 int value = 0;
                 socklen_t size = sizeof value;
                 getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &size);
                 out << text(value);
                 getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size);
                 out << text(value);
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
             Out out;
             for (const bool has_input : {true, false}) {
                 if (has_input) send_one(p.server), wait_for(p.client, POLLIN);
                 if (!has_input) receive(p.client);
                 fd_set reads;
                 FD_ZERO(&reads);
                 FD_SET(p.client, &reads);
                 timeval limit{has_input ? 100 : 0, has_input ? 0 : 20'000};
                 out << text(select(p.client + 1, &reads, nullptr, nullptr, &limit));
                 out << (limit.tv_sec >= 99 ? "whole " : limit.tv_usec == 0 ? "none " : "some ");
             }
             return out;
         }},
        {"select() takes more microseconds than a second has",
         [] {
             timeval limit{0, 1'500'000}, negative{1, -1};
             Out out;
             out << text(select(0, nullptr, nullptr, nullptr, &limit));
             return out << text(select(0, nullptr, nullptr, nullptr, &negative));
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
        {"a port of closed connections, both sockets have SO_REUSEPORT",
         [] {
             Out out;
             sockaddr_in at{};
             at.sin_family = AF_INET;
             for (int i = 0; i < 2; ++i) {
                 const int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
                 setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
                 out << text(bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at))
                     << text(listen(listener, 1));
                 socklen_t size = sizeof at;
                 getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size);
                 const int client = socket(AF_INET, SOCK_STREAM, 0);
                 out << text(connect(client, reinterpret_cast<sockaddr*>(&at), sizeof at));
                 const int server = accept(listener, nullptr, nullptr);
                 int reuses = 0;
                 size = sizeof reuses;
                 getsockopt(server, SOL_SOCKET, SO_REUSEPORT, &reuses, &size);
                 close(server);
                 wait_for(client, POLLIN);
                 close(client);
                 close(listener);
                 out << text(reuses);
             }
             return out;
         }},
        {"shutdown() after both ends have ended",
         [] {
             Pair p;
             p.open();
             shutdown(p.client, SHUT_WR);
             wait_for(p.server, POLLRDHUP);
             shutdown(p.server, SHUT_WR);
             wait_for(p.client, POLLHUP);
             Out out;
             out << text(shutdown(p.client, SHUT_RD)) << text(shutdown(p.client, SHUT_WR));
             sockaddr_in at{};
             socklen_t size = sizeof at;
             out << text(getpeername(p.client, reinterpret_cast<sockaddr*>(&at), &size));
             return out << flags_of(p.client) << text(receive(p.client))
                        << text(send_one(p.client));
         }},
        {"data for an end that has shut both directions",
         [] {
             Pair p;
             p.open();
             Out out;
             out << text(shutdown(p.client, SHUT_RDWR));
             wait_for(p.server, POLLIN);
             out << flags_of(p.client) << flags_of(p.server) << text(receive(p.client));
             out << text(send_one(p.client)) << text(send_one(p.server));
             wait_for(p.server, 0);
             return out << flags_of(p.server) << text(send_one(p.server));
         }},
        {"shutdown() of the reading direction, and data after it",
         [] {
             Pair p;
             p.open();
             Out out;
             out << text(shutdown(p.client, SHUT_RD)) << text(receive(p.client));
             out << text(send_one(p.server));
             return out << flags_of(p.server) << text(shutdown(p.client, 7));
         }},
        {"a socket without a connection",
         [] {
             Pair p;
             sockaddr_in at{};
             socklen_t size = sizeof at;
             Out out;
             out << text(send_one(p.client)) << text(receive(p.client));
             out << text(getpeername(p.client, reinterpret_cast<sockaddr*>(&at), &size));
             return out << text(shutdown(p.client, SHUT_WR)) << flags_of(p.client);
         }},
        {"reads of 0 bytes, without data, with data and at the end",
         [] {
             Pair p;
             p.open();
             char c = 0;
             Out out;
             out << text(recv(p.client, &c, 0, MSG_DONTWAIT));
             send_one(p.server);
             wait_for(p.client, POLLIN);
             out << text(recv(p.client, &c, 0, MSG_DONTWAIT)) << text(receive(p.client));
             close(p.server);
             p.server = -1;
             wait_for(p.client, POLLIN);
             return out << text(recv(p.client, &c, 0, MSG_DONTWAIT));
         }},
        {"a connect() without a wait that is refused",
         [] {
             Pair p;
             close(p.listener);
             p.listener = -1;
             fcntl(p.client, F_SETFL, O_NONBLOCK);
             Out out;
             out << text(p.connect_to(p.client));
             wait_for(p.client, POLLOUT);
             int error = 0;
             socklen_t size = sizeof error;
             getsockopt(p.client, SOL_SOCKET, SO_ERROR, &error, &size);
             out << strerrorname_np(error);
             out << ' ' << flags_of(p.client) << text(receive(p.client));
             for (int i = 0; i < 2; ++i) out << text(p.connect_to(p.client));
             return out;
         }},
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
             Out out;
             out << text(bind(p.client, reinterpret_cast<sockaddr*>(&at), sizeof at));
             close(one);
             return out;
         }},
        {"a peek, and the number of bytes",
         [] {
             Pair p;
             p.open();
             char bytes[8];
             static_cast<void>(send(p.server, "12345", 5, MSG_NOSIGNAL));
             Out out;
             for (const int flags : {int{MSG_PEEK}, 0}) {
                 wait_for(p.client, POLLIN);
                 const ssize_t n = recv(p.client, bytes, 1, flags);
                 out << text(n) << bytes[0] << ' ';
             }
             return out;
         }},
        {"edge-triggered epoll reports each arrival once",
         [] {
             Pair p;
             p.open();
             const int epoll = epoll_create1(0);
             epoll_event event{EPOLLIN | EPOLLET, {}};
             Out out;
             out << text(epoll_ctl(epoll, EPOLL_CTL_ADD, p.client, &event));
             out << text(epoll_ctl(epoll, EPOLL_CTL_ADD, p.client, &event));
             for (int i = 0; i < 2; ++i) {
                 send_one(p.server);
                 out << text(epoll_wait(epoll, &event, 1, 1'000))
                     << text(epoll_wait(epoll, &event, 1, 0));
             }
             close(epoll);
             return out;
         }},
        {"poll() of a closed and of a negative descriptor",
         [] {
             pollfd p[2]{{500, POLLIN, 0}, {-1, POLLIN, 0}};
             Out out;
             out << text(poll(p, 2, 0));
             return out << text(p[0].revents) << text(p[1].revents);
         }},
        {"eventfd() as a semaphore, and a space that is too small",
         [] {
             const int fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
             std::uint64_t value = 0;
             Out out;
             for (int i = 0; i < 3; ++i) out << text(read(fd, &value, sizeof value));
             out << text(read(fd, &value, 4));
             value = ~std::uint64_t{0};
             out << text(write(fd, &value, sizeof value));
             close(fd);
             return out;
         }},
    };
}

inline std::vector<Probe> probes_of_files() {
    return {
        {"pwrite() appends to a file with O_APPEND",
         [] {
             Out out;
             out << text(make_file("f", "abc"));
             const int fd = open("f", O_WRONLY | O_APPEND);
             out << text(pwrite(fd, "X", 1, 0));
             close(fd);
             return out << content("f");
         }},
        {"a file that was removed or replaced has no link",
         [] {
             make_file("f", "old");
             make_file("g", "new");
             const int f = open("f", O_RDONLY), g = open("g", O_RDONLY);
             Out out;
             out << text(links(f));
             rename("g", "f");
             out << text(links(f)) << text(links(g));
             unlink("f");
             out << text(links(g));
             close(f);
             close(g);
             return out;
         }},
        {"rename() of a file does not replace a directory",
         [] {
             make_file("f", "old");
             mkdir("d", 0755);
             make_file("d/x", "x");
             Out out;
             out << text(rename("f", "d"));
             out << content("f");
             out << text(rename("none", "f"));
             return out << text(rename("f/x", "g"));
         }},
        {"a file is no directory",
         [] {
             make_file("f", "old");
             struct stat s {};
             Out out;
             out << text(open("f/y", O_RDONLY));
             out << text(open("f/y", O_CREAT | O_RDWR, 0644));
             out << text(stat("f/", &s));
             out << text(mkdir("f/d", 0755));
             out << text(unlink("f/"));
             return out << text(stat("f", &s));
         }},
        {"names have 255 bytes, and paths 4,095",
         [] {
             const std::string longest(255, 'n');
             std::string deep = "f";
             while (deep.size() < 4'200) deep += "/./././.";
             Out out;
             out << text(make_file(longest.c_str(), ""));
             out << text(open((longest + "n").c_str(), O_CREAT | O_RDWR, 0644));
             out << text(mkdir((longest + "n").c_str(), 0755));
             return out << text(open(deep.c_str(), O_RDONLY));
         }},
        {"fchmod() ignores the type of a file, and copy_file works",
         [] {
             umask(022);
             make_file("f", "copied");
             const int fd = open("f", O_RDWR);
             Out out;
             out << text(fchmod(fd, S_IFREG | 0644));
             close(fd);
             std::error_code error;
             std::filesystem::copy_file("f", "g", error);
             out << content("g") << text(error.value());
             const int from = open("f", O_RDONLY), to = open("h", O_CREAT | O_RDWR, 0644);
             lseek(from, 2, SEEK_SET);
             off_t at = 4;
             static_cast<void>(sendfile(to, from, nullptr, 2));
             out << text(sendfile(to, from, &at, 100));
             out << content("h");
             out << text(lseek(from, 0, SEEK_CUR));
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
             Out out;
             out << text(lseek(fd, -1, SEEK_SET)) << text(lseek(fd, -2, SEEK_END));
             out << text(lseek(fd, 0, SEEK_HOLE)) << text(lseek(fd, 2, SEEK_DATA));
             out << text(lseek(fd, 6, SEEK_DATA)) << text(lseek(fd, 0, 99));
             close(fd);
             return out;
         }},
        {"read and write against the mode of open()",
         [] {
             make_file("f", "x");
             char c = 0;
             const int out_only = open("f", O_WRONLY), in_only = open("f", O_RDONLY);
             Out out;
             out << text(read(out_only, &c, 1)) << text(write(in_only, &c, 1));
             out << text(ftruncate(in_only, 0)) << text(ftruncate(out_only, -1));
             close(out_only);
             close(in_only);
             return out;
         }},
        {"errors of open()",
         [] {
             make_file("f", "x");
             mkdir("d", 0755);
             Out out;
             out << text(open("none", O_RDONLY)) << text(open("none/x", O_CREAT | O_RDWR, 0644));
             out << text(open("f", O_CREAT | O_EXCL | O_RDWR, 0644))
                 << text(open("f", O_DIRECTORY));
             return out << text(open("d", O_RDWR)) << text(open("", O_RDONLY));
         }},
        {"the mode of a new file",
         [] {
             umask(027);
             close(open("f", O_CREAT | O_RDWR, 0666));
             umask(022);
             struct stat s {};
             stat("f", &s);
             return std::string{(s.st_mode & 0777) == 0640 ? "0640" : "0644"};
         }},
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
         }},
        {"a path through a directory that is not there",
         [] {
             make_file("f", "x");
             return Out{} << text(access("none/../f", F_OK)) << text(access("./f", F_OK));
         }},
        {"a directory that is removed",
         [] {
             mkdir("d", 0755);
             return Out{} << text(remove("d")) << text(access("d", F_OK));
         }},
    };
}

/// Returns the names in a directory, below it too, in order.
inline std::string tree(const char* path) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{path}) {
        names.insert(entry.path().string() + (entry.is_directory() ? "/" : ""));
    }
    Out out;
    for (const std::string& name : names) out << name << ' ';
    return out;
}
/// Returns the last parts of a path, from `from` on. The directory of a probe has no fixed name.
inline std::string below(const std::string& path, const char* from) {
    return path.substr(std::min(path.rfind(from), path.size())) + ' ';
}
inline long modified(const char* path) {
    struct stat s {};
    if (stat(path, &s) != 0) return -1;
    return s.st_mtim.tv_sec % 100'000 * 1'000'000'000 + s.st_mtim.tv_nsec;
}

inline std::vector<Probe> probes_of_directories() {
    namespace fs = std::filesystem;
    return {
        {"std::filesystem makes, lists, copies and removes directories",
         [] {
             Out out;
             out << text(fs::create_directories("a/b/c")) << text(fs::create_directories("a/b"));
             make_file("a/f", "12345");
             make_file("a/b/g", "x");
             out << tree("a");
             int count = 0;
             for (const auto& entry : fs::directory_iterator{"a"}) count += entry.exists() ? 1 : 0;
             out << text(count) << text(fs::is_empty("a/b/c")) << text(fs::is_empty("a/b"));
             fs::copy("a", "copy", fs::copy_options::recursive);
             out << tree("copy") << content("copy/b/g");
             std::error_code error;
             out << text(fs::remove("a", error)) << text(error == std::errc::directory_not_empty);
             out << text(static_cast<long>(fs::remove_all("a")));
             out << text(static_cast<long>(fs::remove_all("a"))) << text(fs::exists("a"));
             return out << text(fs::exists("copy/f"))
                        << text(static_cast<long>(fs::file_size("copy/f")));
         }},
        {"std::filesystem resolves paths, and changes files",
         [] {
             fs::create_directories("a/b");
             make_file("a/f", "12345");
             Out out;
             out << below(fs::canonical("a/b/../f").string(), "/a");
             out << below(fs::weakly_canonical("a/b/../none/x").string(), "/a");
             out << below(fs::relative("a/b", "a").string(), "b");
             std::error_code error;
             static_cast<void>(fs::canonical("none", error));
             out << text(error.value()) << text(fs::equivalent("a/f", "./a/../a/f"));
             out << text(fs::equivalent("a", "a/b")) << text(fs::space("a").available > 4096);
             fs::resize_file("a/f", 3);
             const auto before = fs::last_write_time("a/f");
             fs::last_write_time("a/f", before - std::chrono::hours{1});
             out << content("a/f")
                 << text(before - fs::last_write_time("a/f") == std::chrono::hours{1});
             fs::permissions("a/f", fs::perms::owner_exec, fs::perm_options::add);
             out << text(static_cast<long>(fs::status("a/f").permissions()));
             fs::current_path("a/b");
             out << below(fs::current_path().string(), "/a") << text(access("../f", F_OK));
             fs::current_path("../..");
             out << text(fs::copy_file("a/f", "a/g")) << content("a/g");
             fs::copy_file("a/f", "a/g", error);
             out << text(error.value());
             return out << text(fs::copy_file("a/f", "a/g", fs::copy_options::overwrite_existing));
         }},
        {"std::filesystem copies a long file",
         [] {
             std::string all;
             for (int i = 0; i < 40'000; ++i) all += std::to_string(i) + ' ';
             make_file("f", all.c_str());
             fs::copy_file("f", "g");
             const int fd = open("g", O_RDONLY);
             std::string copy(all.size() + 1, ' ');
             std::size_t have = 0;
             for (ssize_t n = 1; n > 0; have += static_cast<std::size_t>(n)) {
                 n = read(fd, copy.data() + have, copy.size() - have);
             }
             close(fd);
             copy.resize(have);
             return std::string{copy == all ? "equal" : "other"};
         }},
        {"errors of rmdir(), unlink() and mkdir()",
         [] {
             mkdir("d", 0755);
             make_file("d/f", "x");
             Out out;
             out << text(rmdir("d")) << text(rmdir("d/f")) << text(rmdir("none"));
             out << text(rmdir("d/.")) << text(rmdir("d/..")) << text(rmdir("/"))
                 << text(unlink("d"));
             out << text(mkdir("d/", 0755)) << text(mkdir("d/f", 0755))
                 << text(mkdir("none/x", 0755));
             unlink("d/f");
             out << text(rmdir("d/")) << text(access("d", F_OK)) << text(mkdir("e/", 0755));
             return out << text(access("e/.", F_OK)) << text(open("g/", O_CREAT | O_RDWR, 0644));
         }},
        {"rename() of directories",
         [] {
             for (const char* const name : {"a", "a/b", "empty", "full"}) mkdir(name, 0755);
             make_file("a/b/f", "moved");
             make_file("full/f", "x");
             make_file("file", "x");
             const int fd = open("a/b", O_RDONLY | O_DIRECTORY);
             struct stat before {
             }, after{};
             stat("a", &before);
             Out out;
             out << text(rename("a", "full")) << text(rename("a", "file"));
             out << text(rename("a", "a/b/c")) << text(rename("a/b", "a"))
                 << text(rename("a/.", "x"));
             out << text(rename("file", "x/")) << text(rename("a", "none/x"))
                 << text(rename("a", "a"));
             out << text(rename("a", "empty"));
             stat("empty", &after);
             out << text(before.st_ino == after.st_ino) << text(access("a", F_OK));
             out << content("empty/b/f") << text(rename("empty", "full/z"));
             out << content("full/z/b/f") << text(openat(fd, "f", O_RDONLY) >= 0) << tree(".");
             close(fd);
             return out;
         }},
        {"functions with the descriptor of a directory",
         [] {
             mkdir("d", 0755);
             const int d = open("d", O_RDONLY | O_DIRECTORY), f = open("f", O_CREAT | O_RDWR, 0644);
             Out out;
             out << text(mkdirat(d, "e", 0755));
             const int in = openat(d, "g", O_CREAT | O_RDWR, 0644);
             out << text(write(in, "abc", 3)) << text(renameat(d, "g", AT_FDCWD, "h"));
             struct stat s {};
             out << text(fstatat(AT_FDCWD, "h", &s, 0)) << text(s.st_size);
             out << text(fstatat(d, "", &s, AT_EMPTY_PATH)) << text(S_ISDIR(s.st_mode));
             out << text(fstatat(f, "x", &s, 0)) << text(fstatat(500, "x", &s, 0));
             out << text(faccessat(d, "e", F_OK, 0)) << text(faccessat(d, "none", F_OK, 0));
             out << text(unlinkat(d, "e", 0)) << text(unlinkat(d, "e", AT_REMOVEDIR));
             out << text(renameat2(AT_FDCWD, "h", AT_FDCWD, "f", RENAME_NOREPLACE));
             out << text(fchdir(d)) << text(access("../f", F_OK)) << text(fchdir(f))
                 << text(chdir(".."));
             DIR* const list = fdopendir(d);
             out << text(dirfd(list) == d) << text(closedir(list)) << text(close(d));
             close(f);
             close(in);
             return out;
         }},
        {"a directory that is removed while it is open",
         [] {
             mkdir("d", 0755);
             const int d = open("d", O_RDONLY | O_DIRECTORY);
             Out out;
             out << text(rmdir("d")) << text(openat(d, "f", O_CREAT | O_RDWR, 0644));
             out << text(fsync(d)) << text(close(d));
             return out << text(opendir("d") == nullptr ? -1 : 0);
         }},
        {"the time of modification of a directory follows its names",
         [] {
             mkdir("d", 0755);
             Out out;
             auto later = [&, last = modified("d")](long result) mutable {
                 out << text(result >= 0 && modified("d") > last);
                 last = modified("d");
                 const timespec wait{0, 20'000'000};
                 nanosleep(&wait, nullptr);
             };
             later(0);
             later(make_file("d/f", "x"));
             later(make_file("d/f", "y"));
             later(rename("d/f", "d/g"));
             later(rename("d/g", "g"));
             later(mkdir("d/e", 0755));
             later(make_file("d/e/f", "y"));
             later(unlink("d/e/f"));
             later(rmdir("d/e"));
             return out;
         }},
        {"modes of files and directories",
         [] {
             umask(027);
             mkdir("d", 0777);
             close(open("f", O_CREAT | O_RDWR, 0777));
             Out out;
             struct stat s {};
             const auto mode = [&](const char* path) {
                 stat(path, &s);
                 out << text(s.st_mode);
             };
             mode("d");
             mode("f");
             chmod("f", 0600);
             mode("f");
             out << text(access("f", X_OK)) << text(access("d", X_OK)) << text(access("f", R_OK));
             rename("f", "g");
             mode("g");
             umask(022);
             return out;
         }},
        {"the first and the last names of a list, and a list again",
         [] {
             make_file("f", "x");
             mkdir("d", 0755);
             DIR* const list = opendir(".");
             Out out;
             for (int i = 0; i < 2; ++i, rewinddir(list)) {
                 std::set<std::string> names;
                 while (const dirent* const e = readdir(list)) {
                     names.insert(e->d_name +
                                  std::string{e->d_type == DT_REG ? " file" : " directory"});
                 }
                 for (const std::string& name : names) out << name << ' ';
                 make_file("g", "x");
             }
             closedir(list);
             return out;
         }},
        {"mkstemp() and mkdtemp() make new names",
         [] {
             char file[] = "t-XXXXXX.tmp", other[] = "t-XXXXXX", bad[] = "t-XXXXX";
             const int fd = mkstemps(file, 4);
             struct stat s {};
             Out out;
             out << text(fstat(fd, &s)) << text(s.st_mode & 0777) << text(access(file, F_OK));
             close(fd);
             out << text(mkdtemp(other) != nullptr) << text(stat(other, &s))
                 << text(s.st_mode & 0777);
             return out << text(mkstemp(bad));
         }},
    };
}

inline std::vector<Probe> probes_of_descriptors() {
    return {
        {"dup() and dup2() share the place in a file, and its state",
         [] {
             make_file("f", "0123456789");
             const int fd = open("f", O_RDWR), other = dup(fd);
             char c[3]{};
             static_cast<void>(read(fd, c, 2));
             Out out;
             out << text(lseek(other, 0, SEEK_CUR)) << text(close(fd));
             out << text(read(other, c, 1)) << c[0] << ' ' << text(read(fd, c, 1));
             const int high = fcntl(other, F_DUPFD, 700);
             out << text(high >= 700) << text(fcntl(other, F_SETFL, O_APPEND));
             out << text(fcntl(high, F_GETFL) & O_APPEND) << text(dup(fd)) << text(dup2(fd, 800));
             out << text(dup2(other, 800)) << text(dup2(800, 800)) << text(dup3(800, 800, 0));
             static_cast<void>(read(800, c, 1));
             out << text(lseek(high, 0, SEEK_CUR)) << text(dup2(other, -1));
             close(other);
             close(high);
             close(800);
             return out;
         }},
        {"dup2() replaces a connection, whose other end sees the end",
         [] {
             Pair p;
             p.open();
             const int null = open("/dev/null", O_RDWR);
             const int copy = dup(p.server);
             close(p.server);
             Out out;
             out << text(receive(p.client)) << text(dup2(null, copy) == copy);
             wait_for(p.client, POLLIN);
             p.server = copy;
             out << text(receive(p.client)) << text(write(copy, "abc", 3))
                 << text(read(copy, &p, 1));
             close(null);
             return out;
         }},
        {"the end of one of two descriptors ends locks of a program, and no watch of epoll",
         [] {
             Pair p;
             p.open();
             const int epoll = epoll_create1(0), copy = dup(p.client);
             epoll_event event{EPOLLIN, {}};
             epoll_ctl(epoll, EPOLL_CTL_ADD, p.client, &event);
             close(p.client);
             p.client = copy;
             send_one(p.server);
             Out out;
             out << text(epoll_wait(epoll, &event, 1, 1'000));
             close(epoll);
             make_file("f", "x");
             const int one = open("f", O_RDWR), two = dup(one), three = open("f", O_RDWR);
             out << text(flock(one, LOCK_EX)) << text(flock(three, LOCK_EX | LOCK_NB));
             close(one);
             out << text(flock(three, LOCK_EX | LOCK_NB));
             close(two);
             out << text(flock(three, LOCK_EX | LOCK_NB));
             close(three);
             return out;
         }},
        {"/dev/null takes everything and has nothing",
         [] {
             const int fd = open("/dev/null", O_RDWR | O_APPEND);
             char c = 0;
             struct stat s {};
             Out out;
             out << text(write(fd, "abc", 3)) << text(read(fd, &c, 1)) << text(fstat(fd, &s));
             out << text(S_ISCHR(s.st_mode)) << text(stat("/dev/null", &s))
                 << text(S_ISCHR(s.st_mode));
             close(fd);
             FILE* const f = fopen("/dev/null", "w");
             out << text(std::fputs("abc", f) >= 0) << text(std::fclose(f));
             return out;
         }},
        {"writes with O_DSYNC and O_SYNC",
         [] {
             Out out;
             for (const int flag : {O_DSYNC, O_SYNC}) {
                 const int fd = open("f", O_CREAT | O_RDWR | flag, 0644);
                 out << text(write(fd, "abc", 3)) << text((fcntl(fd, F_GETFL) & O_SYNC) == flag);
                 out << text(pwrite(fd, "X", 1, 1));
                 close(fd);
             }
             return out << content("f");
         }},
        {"mmap() of a file shows later writes",
         [] {
             make_file("f", "0123456789");
             const int fd = open("f", O_RDWR), out_only = open("f", O_WRONLY);
             const auto map = [](int protection, int flags, int from, off_t at) {
                 return static_cast<char*>(mmap(nullptr, 8192, protection, flags, from, at));
             };
             char* const all = map(PROT_READ, MAP_SHARED, fd, 0);
             char* const mine = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
             Out out;
             out << all << ' ';
             mine[0] = 'X';
             static_cast<void>(pwrite(fd, "ab", 2, 2));
             out << all << ' ' << mine << ' ';
             static_cast<void>(ftruncate(fd, 3));
             out << all << ' ';
             const std::string longer(5'000, 'z');
             static_cast<void>(pwrite(fd, longer.data(), longer.size(), 0));
             out << text(all[4'999] == 'z' && all[5'000] == 0);
             close(fd);
             out << text(all[10] == 'z') << content("f").substr(0, 3) << ' ';
             out << text(map(PROT_READ, MAP_SHARED, out_only, 0) == MAP_FAILED ? -1 : 0);
             out << text(map(PROT_READ, MAP_SHARED, 500, 0) == MAP_FAILED ? -1 : 0);
             close(out_only);
             out << text(madvise(all, 8192, MADV_DONTNEED)) << all[0] << ' ';
             out << text(munmap(all, 8192)) << text(munmap(mine, 8192));
             const int again = open("f", O_RDONLY);
             char* const second = map(PROT_READ, MAP_PRIVATE, again, 4'096);
             out << text(second[0] == 'z' && second[904] == 0);
             out << text(map(PROT_READ, MAP_PRIVATE, again, 5) == MAP_FAILED ? -1 : 0);
             munmap(second, 8192);
             close(again);
             return out;
         }},
        {"MSG_WAITALL waits for everything, or for the end",
         [] {
             Pair p;
             p.open();
             char bytes[8]{};
             static_cast<void>(send(p.server, "123", 3, MSG_NOSIGNAL));
             wait_for(p.client, POLLIN);
             Out out;
             out << text(recv(p.client, bytes, 3, MSG_WAITALL));
             send_one(p.server);
             wait_for(p.client, POLLIN);
             out << text(recv(p.client, bytes, 8, MSG_WAITALL | MSG_DONTWAIT));
             timeval limit{0, 50'000};
             setsockopt(p.client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
             out << text(recv(p.client, bytes, 2, MSG_WAITALL));
             static_cast<void>(send(p.server, "12345", 5, MSG_NOSIGNAL));
             out << text(recv(p.client, bytes, 8, MSG_WAITALL));
             static_cast<void>(send(p.server, "12", 2, MSG_NOSIGNAL));
             close(p.server);
             p.server = -1;
             out << text(recv(p.client, bytes, 8, MSG_WAITALL));
             return out << text(recv(p.client, bytes, 8, MSG_WAITALL));
         }},
        {"bind() and then connect() use the port",
         [] {
             Pair p;
             sockaddr_in at = p.address, seen{};
             at.sin_port = 0;
             socklen_t size = sizeof at;
             Out out;
             out << text(bind(p.client, reinterpret_cast<sockaddr*>(&at), sizeof at));
             getsockname(p.client, reinterpret_cast<sockaddr*>(&at), &size);
             out << text(p.connect_to(p.client));
             p.server = accept(p.listener, reinterpret_cast<sockaddr*>(&seen), &size);
             out << text(at.sin_port != 0 && at.sin_port == seen.sin_port);
             getsockname(p.client, reinterpret_cast<sockaddr*>(&seen), &size);
             out << text(at.sin_port == seen.sin_port) << text(listen(p.client, 1));
             const int other = socket(AF_INET, SOCK_STREAM, 0);
             out << text(bind(other, reinterpret_cast<sockaddr*>(&at), sizeof at));
             const int on = 1;
             setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
             out << text(bind(other, reinterpret_cast<sockaddr*>(&at), sizeof at));
             out << text(send_one(p.client)) << text(p.connect_to(p.listener));
             close(other);
             return out;
         }},
    };
}

inline sockaddr_in loopback(in_port_t port = 0) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = port;
    return at;
}
inline long bind_to(int fd, const sockaddr_in& at) {
    return bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at);
}
inline sockaddr_in name_of(int fd) {
    sockaddr_in at{};
    socklen_t size = sizeof at;
    static_cast<void>(getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size));
    return at;
}
inline std::string error_of(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return (error == 0 ? "0" : std::string{strerrorname_np(error)}) + ' ';
}
inline long end_without_linger(int fd) {
    const linger now{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    return close(fd);
}
/// The peer closes with data that it has not read.
inline Run with_unread_data(bool sends_first) {
    return [=] {
        Pair p;
        p.open();
        Out out;
        send_one(p.client);
        wait_for(p.server, POLLIN);
        close(p.server);
        p.server = -1;
        wait_for(p.client, POLLERR | POLLHUP);
        if (!sends_first) out << flags_of(p.client) << text(receive(p.client));
        out << text(send_one(p.client)) << text(send_one(p.client)) << text(receive(p.client));
        return out << error_of(p.client) << flags_of(p.client);
    };
}

inline std::vector<Probe> more_probes_of_sockets() {
    return {
        {"the peer closes with unread data", with_unread_data(false)},
        {"the peer closes with unread data, and a write comes first", with_unread_data(true)},
        {"writes after the peer's end",
         [] {
             Pair p;
             p.open();
             close(p.server);
             p.server = -1;
             wait_for(p.client, POLLIN);
             Out out;
             out << flags_of(p.client) << text(send_one(p.client));
             wait_for(p.client, POLLERR | POLLHUP);
             out << text(send_one(p.client)) << text(receive(p.client)) << error_of(p.client);
             return out << flags_of(p.client);
         }},
        {"one direction ends, and data comes in the other",
         [] {
             Pair p;
             p.open();
             send_one(p.client);
             shutdown(p.client, SHUT_WR);
             wait_for(p.server, POLLRDHUP);
             Out out;
             out << text(receive(p.server)) << text(receive(p.server)) << flags_of(p.server);
             out << text(send_one(p.server));
             wait_for(p.client, POLLIN);
             out << text(receive(p.client)) << flags_of(p.client) << text(send_one(p.client));
             return out << text(shutdown(p.client, SHUT_WR)) << text(shutdown(p.client, 7));
         }},
        {"a connect() that is refused, again and then to an open port",
         [] {
             Pair closed, p;
             close(closed.listener);
             closed.listener = -1;
             Out out;
             out << text(closed.connect_to(p.client)) << text(closed.connect_to(p.client));
             out << error_of(p.client) << flags_of(p.client) << text(send_one(p.client));
             return out << text(receive(p.client)) << text(p.connect_to(p.client));
         }},
        {"reads of 0 bytes after a reset",
         [] {
             Pair p;
             p.open();
             end_without_linger(p.server);
             p.server = -1;
             wait_for(p.client, POLLIN);
             char c = 0;
             Out out;
             out << text(recv(p.client, &c, 0, MSG_DONTWAIT));
             return out << text(receive(p.client)) << text(receive(p.client));
         }},
        {"full buffers, which then have room",
         [] {
             Pair p;
             p.open();
             const std::string all(65'536, 'x');
             std::string bytes(1'000'000, 'y');
             long sent = 0, read = 0;
             const auto fill = [&] {
                 long n = 0;
                 while ((n = send(p.client, all.data(), all.size(), MSG_DONTWAIT)) > 0) sent += n;
                 return n;
             };
             Out out;
             for (int i = 0; i < 3; ++i, usleep(50'000)) static_cast<void>(fill());
             out << text(fill()) << flags_of(p.client) << text(sent > 60'000);
             while (read < sent) {
                 const long n = recv(p.server, bytes.data(), bytes.size(), 0);
                 if (n <= 0) break;
                 read += n;
             }
             wait_for(p.client, POLLOUT);
             return out << flags_of(p.client) << text(read == sent);
         }},
        {"ten bytes in one write arrive in one read, 20 times",
         [] {
             Pair p;
             p.open();
             int whole = 0;
             for (int i = 0; i < 20; ++i) {
                 char bytes[10]{};
                 static_cast<void>(send(p.server, bytes, 10, MSG_NOSIGNAL));
                 long n = recv(p.client, bytes, 10, 0);
                 whole += n == 10 ? 1 : 0;
                 while (n < 10) n += recv(p.client, bytes, 10, 0);
             }
             return std::string{whole == 20 ? "always" : "not always"};
         },
         "A world splits writes, which a network may do, too."},
        {"two sockets of one port",
         [] {
             Pair p;
             Out out;
             out << text(bind_to(p.client, p.address));
             const int one = socket(AF_INET, SOCK_STREAM, 0), on = 1;
             const int other = socket(AF_INET, SOCK_STREAM, 0);
             for (const int fd : {one, other}) {
                 setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
             }
             out << text(bind_to(one, loopback())) << text(bind_to(other, name_of(one)));
             out << text(listen(one, 1)) << text(listen(other, 1))
                 << text(bind_to(one, loopback()));
             close(one);
             close(other);
             return out;
         }},
        {"a listener that closes resets connections that wait",
         [] {
             Pair p;
             Out out;
             out << text(p.connect_to(p.client));
             close(p.listener);
             p.listener = -1;
             wait_for(p.client, POLLIN);
             return out << flags_of(p.client) << text(receive(p.client));
         }},
        {"shutdown() of a listener, which may listen again",
         [] {
             Pair p;
             Out out;
             out << text(send_one(p.listener)) << text(receive(p.listener))
                 << text(p.connect_to(p.client));
             out << text(shutdown(p.listener, SHUT_WR)) << text(shutdown(p.listener, SHUT_RD));
             wait_for(p.client, POLLIN);
             out << flags_of(p.client) << text(receive(p.client)) << flags_of(p.listener);
             out << text(accept(p.listener, nullptr, nullptr));
             const int other = socket(AF_INET, SOCK_STREAM, 0);
             out << text(p.connect_to(other)) << text(listen(p.listener, 1));
             close(other);
             return out;
         }},
        {"accept() of connections that have ended",
         [] {
             Pair p;
             const int other = socket(AF_INET, SOCK_STREAM, 0);
             Out out;
             out << text(p.connect_to(p.client)) << text(end_without_linger(p.client));
             p.client = -1;
             out << text(p.connect_to(other)) << text(send_one(other)) << text(close(other));
             usleep(50'000);
             p.server = accept(p.listener, nullptr, nullptr);
             out << flags_of(p.server) << text(receive(p.server));
             p.client = accept(p.listener, nullptr, nullptr);
             out << flags_of(p.client) << text(receive(p.client)) << text(receive(p.client));
             return out;
         }},
        {"accept(), listen() and names of sockets in other states",
         [] {
             Pair p;
             Out out;
             out << text(name_of(p.client).sin_port) << text(accept(p.client, nullptr, nullptr));
             out << text(listen(p.listener, 3)) << flags_of(p.listener);
             fcntl(p.listener, F_SETFL, O_NONBLOCK);
             out << text(accept(p.listener, nullptr, nullptr));
             static_cast<void>(p.connect_to(p.client));
             wait_for(p.listener, POLLIN);
             p.server = accept(p.listener, nullptr, nullptr);
             out << text(fcntl(p.server, F_GETFL) & O_NONBLOCK);
             out << text(name_of(p.server).sin_port == p.address.sin_port);
             sockaddr_in far = loopback();
             far.sin_addr.s_addr = htonl(0x08080808);
             const int fd = socket(AF_INET, SOCK_STREAM, 0);
             out << text(bind_to(fd, far)) << text(accept(500, nullptr, nullptr));
             close(fd);
             return out << text(accept(0, nullptr, nullptr));
         }},
        {"an end without linger discards data that the peer has not read",
         [] {
             Pair p;
             p.open();
             send_one(p.server);
             wait_for(p.client, POLLIN);
             end_without_linger(p.server);
             p.server = -1;
             wait_for(p.client, POLLERR);
             Out out;
             out << flags_of(p.client);
             for (int i = 0; i < 3; ++i) out << text(receive(p.client));
             return out << text(send_one(p.client));
         }},
        {"the limit of a receive, and the number of bytes that wait",
         [] {
             Pair p;
             p.open();
             const timeval limit{0, 50'000};
             setsockopt(p.client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
             char bytes[8];
             Out out;
             out << text(recv(p.client, bytes, 8, 0));
             for (int i = 0; i < 5; ++i) send_one(p.server);
             for (int have = 0; have < 5;) ioctl(p.client, FIONREAD, &have), usleep(1'000);
             out << text(recv(p.client, bytes, 8, MSG_PEEK));
             int have = 0;
             ioctl(p.client, FIONREAD, &have);
             out << text(have) << text(recv(p.client, bytes, 8, 0));
             return out << text(recv(p.client, bytes, 8, MSG_PEEK | MSG_DONTWAIT));
         }},
        {"epoll reports once, and forgets what is closed",
         [] {
             Pair p;
             p.open();
             const int epoll = epoll_create1(0), file = open("f", O_CREAT | O_RDWR, 0644);
             epoll_event event{EPOLLIN | EPOLLONESHOT, {}};
             Out out;
             out << text(epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event));
             out << text(epoll_ctl(epoll, EPOLL_CTL_ADD, p.client, &event));
             out << text(epoll_ctl(epoll, EPOLL_CTL_DEL, p.server, &event));
             send_one(p.server);
             out << text(epoll_wait(epoll, &event, 1, 1'000))
                 << text(epoll_wait(epoll, &event, 1, 0));
             event = {EPOLLIN, {}};
             out << text(epoll_ctl(epoll, EPOLL_CTL_MOD, p.client, &event));
             close(p.client);
             p.client = -1;
             out << text(epoll_wait(epoll, &event, 1, 0));
             close(epoll);
             close(file);
             return out;
         }},
        {"buffers that are empty, and a message without any",
         [] {
             Pair p;
             p.open();
             char one[2]{'a', 'b'}, other[2]{'c', 'd'};
             const iovec parts[3]{{one, 2}, {nullptr, 0}, {other, 2}};
             Out out;
             out << text(writev(p.client, parts, 3));
             int have = 0;
             while (have < 4) ioctl(p.server, FIONREAD, &have), usleep(1'000);
             out << text(readv(p.server, parts, 3));
             const msghdr none{};
             out << text(sendmsg(p.client, &none, MSG_NOSIGNAL)) << text(send(p.client, one, 0, 0));
             return out << flags_of(p.server);
         }},
        {"write() to connections and pipes that have ended, without a signal",
         [] {
             const auto before = signal(SIGPIPE, SIG_IGN);
             Pair p;
             p.open();
             close(p.server);
             p.server = -1;
             wait_for(p.client, POLLIN);
             Out out;
             out << text(write(p.client, "x", 1));
             wait_for(p.client, POLLERR | POLLHUP);
             out << text(write(p.client, "x", 1));
             int ends[2];
             char c = 0;
             out << text(pipe(ends)) << text(close(ends[0])) << text(write(ends[1], "x", 1));
             out << text(close(ends[1])) << text(pipe(ends)) << text(close(ends[1]));
             out << text(read(ends[0], &c, 1)) << flags_of(ends[0]);
             close(ends[0]);
             signal(SIGPIPE, before);
             return out;
         }},
        {"read() and write() in the wrong direction, also of nothing, and -1 buffers",
         [] {
             int ends[2];
             char c = 0;
             const iovec one{&c, 1};
             Out out;
             const auto both = [&](int fd) {
                 for (const std::size_t size : {0U, 1U}) {
                     out << text(read(fd, &c, size)) << text(write(fd, &c, size));
                 }
                 out << text(fcntl(fd, F_GETFL) & O_ACCMODE);
             };
             out << text(pipe2(ends, O_NONBLOCK)) << text(write(ends[1], "ab", 2));
             both(ends[1]), both(ends[0]), close(ends[0]), close(ends[1]);
             out << text(pipe(ends)) << text(write(ends[1], "ab", 2));
             both(ends[1]), both(ends[0]), close(ends[0]), close(ends[1]);
             for (const int access : {O_WRONLY, O_RDONLY}) {
                 for (const char* const name : {"f", "/dev/null"}) {
                     const int fd = open(name, access | O_CREAT, 0600);
                     both(fd);
                     close(fd);
                 }
             }
             const int random = open("/dev/urandom", O_RDONLY);
             const int file = open("f", O_RDWR);
             out << text(write(random, &c, 1)) << text(read(random, &c, 1));
             for (const int count : {-1, 0, 1'025}) {
                 out << text(preadv(file, &one, count, 0)) << text(pwritev(file, &one, count, 0));
                 out << text(readv(file, &one, count)) << text(writev(file, &one, count));
             }
             close(random);
             close(file);
             return out;
         }},
        {"a pipe has 16 pages, and takes up to 4096 bytes as a whole",
         [] {
             int ends[2], unread = 0;
             char bytes[70'000]{};
             Out out;
             out << text(pipe2(ends, O_NONBLOCK)) << text(fcntl(ends[1], F_GETPIPE_SZ));
             const auto writes = [&](std::size_t size) {
                 out << text(write(ends[1], bytes, size)) << flags_of(ends[1]);
             };
             const auto reads = [&](std::size_t size) {
                 out << text(read(ends[0], bytes, size)) << flags_of(ends[1]);
                 out << text(ioctl(ends[0], FIONREAD, &unread)) << text(unread);
             };
             reads(0);
             for (const std::size_t size : {0U, 70'000U, 1U}) writes(size);
             reads(4'095);
             writes(1);
             reads(1);
             writes(4'097);
             reads(8'192);
             for (const std::size_t size : {4'096U, 4'096U, 1U}) writes(size);
             reads(5'000);
             writes(5'000);
             reads(70'000);
             writes(65'536);
             out << text(ioctl(ends[1], FIONREAD, &unread)) << text(unread);
             for (const int end : ends) close(end);
             return out << text(fcntl(ends[1], F_GETPIPE_SZ));
         }},
        {"select() and close() of what is not open, and the lowest free number",
         [] {
             const int one = socket(AF_INET, SOCK_STREAM, 0), two = dup(one);
             fd_set reads;
             FD_ZERO(&reads);
             FD_SET(one, &reads);
             timeval now{};
             Out out;
             out << text(close(one)) << text(select(one + 1, &reads, nullptr, nullptr, &now));
             out << text(close(one)) << text(close(-1));
             const int again = socket(AF_INET, SOCK_STREAM, 0);
             out << text(again == one);
             close(again);
             close(two);
             return out;
         }},
        {"getaddrinfo() of an address and a service",
         [] {
             addrinfo hints{}, *found = nullptr;
             hints.ai_socktype = SOCK_STREAM;
             hints.ai_family = AF_INET;
             Out out;
             out << text(getaddrinfo("127.0.0.1", "http", &hints, &found));
             out << text(ntohs(reinterpret_cast<sockaddr_in*>(found->ai_addr)->sin_port));
             freeaddrinfo(found);
             return out;
         }},
        {"a socket of IPv6",
         [] {
             const int fd = socket(AF_INET6, SOCK_STREAM, 0);
             const std::string out = text(fd < 0 ? fd : 0);
             close(fd);
             return out;
         },
         "A world is a network without IPv6."},
        {"a socket for datagrams", [] { return text(close(socket(AF_INET, SOCK_DGRAM, 0))); },
         "A world refuses it, with a sentence."},
        {"a Unix socket", [] { return text(close(socket(AF_UNIX, SOCK_STREAM, 0))); },
         "A world refuses it, with a sentence."},
    };
}

inline std::vector<Probe> more_probes_of_files() {
    return {
        {"O_APPEND moves the place of a descriptor",
         [] {
             const int fd = open("f", O_CREAT | O_RDWR | O_APPEND, 0644);
             Out out;
             out << text(write(fd, "abc", 3)) << text(lseek(fd, 0, SEEK_SET));
             out << text(write(fd, "d", 1)) << text(lseek(fd, 0, SEEK_CUR));
             close(fd);
             return out << content("f");
         }},
        {"a file that is removed while it is open",
         [] {
             const int fd = open("f", O_CREAT | O_RDWR, 0644);
             char bytes[8]{};
             Out out;
             out << text(write(fd, "abc", 3)) << text(unlink("f")) << text(write(fd, "d", 1));
             out << text(pread(fd, bytes, 8, 0)) << text(open("f", O_RDONLY)) << text(fsync(fd));
             out << text(ftruncate(fd, 9)) << text(close(fd));
             return out << text(unlink("f"));
         }},
        {"ftruncate() and lseek() leave zeros",
         [] {
             const int fd = open("f", O_CREAT | O_RDWR, 0644);
             char bytes[9] = "........";
             Out out;
             out << text(write(fd, "abc", 3)) << text(ftruncate(fd, 5))
                 << text(pread(fd, bytes, 8, 0));
             out << text(bytes[4]) << text(bytes[5]) << text(ftruncate(fd, 1))
                 << text(write(fd, "z", 1));
             out << text(pread(fd, bytes, 8, 0)) << text(bytes[1]) << text(bytes[3]);
             out << text(lseek(fd, 6, SEEK_SET)) << text(write(fd, "x", 1))
                 << text(lseek(fd, 0, SEEK_END));
             out << text(pread(fd, bytes, 8, 0)) << text(bytes[5]);
             close(fd);
             return out;
         }},
        {"fsync() of files, directories and others",
         [] {
             make_file("f", "x");
             const int file = open("f", O_RDONLY), directory = open(".", O_RDONLY | O_DIRECTORY);
             const int other = socket(AF_INET, SOCK_STREAM, 0);
             int ends[2];
             Out out;
             out << text(pipe(ends)) << text(fsync(file)) << text(fsync(directory));
             out << text(fdatasync(directory)) << text(fsync(other)) << text(fsync(ends[0]));
             for (const int fd : {file, directory, other, ends[0], ends[1]}) close(fd);
             return out << text(fsync(file));
         }},
        {"the number of a file stays when it is renamed",
         [] {
             make_file("f", "abc");
             make_file("other", "x");
             struct stat f {
             }, g{}, other{};
             stat("f", &f);
             stat("other", &other);
             rename("f", "g");
             stat("g", &g);
             Out out;
             out << text(f.st_ino == g.st_ino) << text(f.st_ino != other.st_ino)
                 << text(static_cast<long>(g.st_nlink));
             return out << text(g.st_size) << text(g.st_blocks > 0);
         }},
        {"kill() without a signal finds the program of a pid file",
         [] {
             const std::string pid = std::to_string(getpid());
             make_file("pid", pid.c_str(), O_CREAT | O_EXCL | O_WRONLY);
             Out out;
             out << text(kill(std::stoi(content("pid")), 0)) << text(kill(0, 0));
             return out << text(kill(99'999'999, 0))
                        << text(make_file("pid", "", O_CREAT | O_EXCL));
         }},
        {"locks of descriptors, and of a program",
         [] {
             const int one = open("f", O_CREAT | O_RDWR, 0644), other = open("f", O_RDWR);
             struct flock all {};
             all.l_type = F_WRLCK;
             Out out;
             out << text(flock(one, LOCK_EX)) << text(flock(other, LOCK_EX | LOCK_NB));
             out << text(fcntl(one, F_SETLK, &all)) << text(fcntl(other, F_SETLK, &all));
             close(one);
             out << text(flock(other, LOCK_EX | LOCK_NB));
             close(other);
             return out;
         }},
        {"flock() gives up a lock for another kind, which it may not get",
         [] {
             const int one = open("f", O_CREAT | O_RDWR, 0644), other = open("f", O_RDWR);
             Out out;
             out << text(flock(one, LOCK_SH)) << text(flock(other, LOCK_SH));
             out << text(flock(one, LOCK_EX | LOCK_NB)) << text(flock(other, LOCK_EX | LOCK_NB));
             close(one);
             close(other);
             return out;
         }},
        {"O_TRUNC of a file that is open elsewhere",
         [] {
             make_file("f", "abcdef");
             const int fd = open("f", O_RDWR);
             char bytes[9]{};
             Out out;
             out << text(read(fd, bytes, 4)) << text(close(open("f", O_TRUNC | O_WRONLY)));
             out << text(read(fd, bytes, 4)) << text(write(fd, "z", 1))
                 << text(pread(fd, bytes, 8, 0));
             close(fd);
             return out << text(bytes[0]) << text(bytes[4]);
         }},
        {"posix_fallocate() makes a file longer, and never shorter",
         [] {
             const int fd = open("f", O_CREAT | O_RDWR, 0644);
             struct stat s {};
             Out out;
             for (const off_t size : {100, 10}) {
                 out << text(posix_fallocate(fd, 0, size)) << text(fstat(fd, &s))
                     << text(s.st_size);
             }
             close(fd);
             return out << text(posix_fallocate(fd, 0, 1)) << text(posix_fallocate(500, 0, 0));
         }},
        {"streams that append, and of a file that is not there",
         [] {
             make_file("f", "hello");
             FILE* const f = fopen("f", "a+");
             char bytes[9]{};
             Out out;
             out << text(std::fputs("!", f) >= 0) << text(std::fseek(f, 0, SEEK_SET));
             out << text(static_cast<long>(std::fread(bytes, 1, 8, f))) << bytes << ' ';
             out << text(std::ftell(f)) << text(std::fclose(f));
             return out << text(fopen("none", "r") == nullptr ? -1 : 0);
         }},
    };
}

}  // namespace libc_as_on_linux_test
