// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/addresses.hpp
/// The addresses of an endpoint, and of a Unix domain socket with the file of one that listens.
#pragma once

#include <cerrno>   // errno
#include <cstddef>  // offsetof
#include <cstdio>   // std::snprintf
#include <cstring>  // std::memcpy
#include <memory>   // std::unique_ptr
#include <string>   // std::string
#include <utility>  // std::exchange, std::move
#include <vector>   // std::vector

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <belay/core/failure.hpp>
#include <belay/posix/detail/socket.hpp>
#include <belay/posix/endpoint.hpp>
#include <belay/posix/resolver_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

class ResolveCategory final : public std::error_category {
public:
    constexpr ResolveCategory() noexcept = default;
    const char* name() const noexcept override { return "belay.resolve"; }
    std::string message(int value) const override { return ::gai_strerror(value); }
    // An unknown name may become known later, so no error of this category is permanent.
    std::error_condition default_error_condition(int) const noexcept override {
        return make_error_condition(Cause::refused);
    }
};

[[nodiscard]] inline const std::error_category& resolve_category() noexcept {
    static const ResolveCategory category;
    return category;
}

/// Returns the error for a result of getaddrinfo(3), which has set `errno`. A lack of resources in
/// this system is an error of the system, so that it is not mistaken for an answer of a name
/// server. If the C library has no descriptor for its own files, it reports an unknown name.
[[nodiscard]] inline std::error_code resolve_error(int answer) noexcept {
    const bool lacks_descriptors = errno == EMFILE || errno == ENFILE;
    if (answer == EAI_SYSTEM || lacks_descriptors) return {errno, std::generic_category()};
    if (answer == EAI_MEMORY) return std::make_error_code(std::errc::not_enough_memory);
    return {answer, resolve_category()};
}

/// The socket addresses of an endpoint, in the order in which to try them.
///
/// Thread safety: distinct objects safe.
class Addresses {
public:
    /// Looks up an endpoint. Pass `passive` to listen there.
    ///
    /// Blocks: for names, as long as the system's resolver takes; not for numeric addresses.
    [[nodiscard]] std::error_code resolve(const Endpoint& endpoint, bool passive) noexcept {
        // Numeric first: only AI_NUMERICHOST guarantees that no name server is asked.
        const std::error_code error = resolve_numeric(endpoint, passive);
        if (error != std::error_code{EAI_NONAME, resolve_category()}) return error;
        return ask(endpoint, passive ? AI_PASSIVE : 0);
    }
    /// Like resolve(), for numeric addresses only. Returns EAI_NONAME for names.
    [[nodiscard]] std::error_code resolve_numeric(const Endpoint& endpoint, bool passive) noexcept {
        return ask(endpoint, AI_NUMERICHOST | (passive ? AI_PASSIVE : 0));
    }
    [[nodiscard]] const addrinfo* first() const noexcept { return first_.get(); }

private:
    struct Free {
        void operator()(addrinfo* first) const noexcept { ::freeaddrinfo(first); }
    };

    [[nodiscard]] std::error_code ask(const Endpoint& endpoint, int flags) noexcept {
        first_.reset();
        // The system would read the name up to a null, which is another host.
        if (endpoint.host.find('\0') != endpoint.host.npos) return {EAI_NONAME, resolve_category()};
        char port[8];
        std::snprintf(port, sizeof port, "%u", static_cast<unsigned>(endpoint.port));
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = flags | AI_NUMERICSERV;
        addrinfo* found = nullptr;
        errno = 0;
        const int error = ::getaddrinfo(endpoint.host.c_str(), port, &hints, &found);
        if (error != 0) return resolve_error(error);
        first_.reset(found);
        return {};
    }

    std::unique_ptr<addrinfo, Free> first_;
};

/// The most addresses of a name that are used. The others are ignored.
inline constexpr std::size_t addresses_max = 256;

/// Appends a list of addresses of the system.   Throws: std::bad_alloc.
inline void append(std::vector<SocketAddress>& all, const addrinfo* first) {
    for (; first != nullptr && all.size() < addresses_max; first = first->ai_next) {
        if (first->ai_addrlen > sizeof(sockaddr_storage)) continue;
        SocketAddress& a = all.emplace_back();
        std::memcpy(&a.storage, first->ai_addr, first->ai_addrlen);
        a.size = first->ai_addrlen;
    }
}

/// Looks up `host` in the system.   Blocks: as long as its resolver takes.
/// Throws: std::bad_alloc.
[[nodiscard]] inline HostAddresses look_up_by_system(const std::string& host) {
    Addresses addresses;
    HostAddresses found;
    found.error = addresses.resolve(Endpoint{host, 0}, false);
    std::vector<SocketAddress> all;
    append(all, addresses.first());
    for (const SocketAddress& address : all) found.addresses.push_back(address.host());
    return found;
}

/// Makes the address of a path.   Errors: UnixErrc.
[[nodiscard]] inline std::error_code unix_address(const UnixPath& where,
                                                  SocketAddress& address) noexcept {
    auto& to = reinterpret_cast<sockaddr_un&>(address.storage);
    const std::string& path = where.path;
    if (path.empty() || path.find('\0') != path.npos) return UnixErrc::path_invalid;
#if !defined(__linux__)
    if (where.is_abstract()) return UnixErrc::path_invalid;
#endif
    // One byte is for the NUL at the end. Without it, not every system finds the end of the path.
    if (path.size() > sizeof to.sun_path - 1) return UnixErrc::path_too_long;
    address = {};
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, path.data(), path.size());
    std::size_t size = offsetof(sockaddr_un, sun_path) + path.size();
    if (where.is_abstract()) {
        to.sun_path[0] = '\0';
    } else {
        ++size;
    }
    address.size = static_cast<socklen_t>(size);
    return {};
}

/// Returns the failure of a dial that has ended with `error`.
[[nodiscard]] inline Failure unix_failure(const UnixPath& where,
                                          const std::error_code& error) noexcept {
    struct stat found {};
    // Linux reports that nothing listens there if the file is no socket at all.
    const bool is_other = error == std::errc::connection_refused && !where.is_abstract() &&
                          ::stat(where.path.c_str(), &found) == 0 && !S_ISSOCK(found.st_mode);
    if (is_other || error == std::errc::wrong_protocol_type) {
        return Failure::from(UnixErrc::not_a_stream_socket);
    }
    Failure failure = Failure::from(error);
    // A server that has not started yet has no file.
    if (error == std::errc::no_such_file_or_directory) failure.cause = Cause::refused;
    return failure;
}

/// The file of a listening socket. The destructor removes it, if it is still the same one.
///
/// Thread safety: distinct objects safe.
class UnixFile {
public:
    UnixFile() noexcept = default;
    /// Owns the file that bind(2) has just made.   Throws: std::bad_alloc.
    explicit UnixFile(const std::string& path) : path_{path} {
        if (::lstat(path_.c_str(), &made_) != 0) path_.clear();
    }
    UnixFile(const UnixFile&) = delete;
    UnixFile& operator=(const UnixFile&) = delete;
    UnixFile& operator=(UnixFile&& other) noexcept {
        if (this != &other) {
            remove();
            path_ = std::exchange(other.path_, {});
            made_ = other.made_;
        }
        return *this;
    }
    ~UnixFile() { remove(); }

    void remove() noexcept {
        struct stat found {};
        const bool is_same = !path_.empty() && ::lstat(path_.c_str(), &found) == 0 &&
                             found.st_dev == made_.st_dev && found.st_ino == made_.st_ino &&
                             S_ISSOCK(found.st_mode);
        if (is_same) ::unlink(path_.c_str());
        path_.clear();
    }

private:
    std::string path_;
    struct stat made_ {};
};

/// Locks the directory of a path, so that of several servers that start at once only one replaces
/// a stale file. Returns an empty descriptor if that is not possible within a second.
[[nodiscard]] inline Descriptor lock_directory_of(const std::string& path) {
    constexpr int tries_max = 100;
    constexpr int pause_ms = 10;
    const std::size_t slash = path.rfind('/');
    const std::string directory = slash == path.npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
    Descriptor lock{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    for (int i = 0; lock && i < tries_max; ++i) {
        if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
        if (!would_block(errno) && errno != EINTR) break;
        ::poll(nullptr, 0, pause_ms);
    }
    return Descriptor{};
}

/// Removes the file of a server that has ended. Returns an error if it may be another one's.
[[nodiscard]] inline std::error_code remove_stale(const std::string& path,
                                                  SocketAddress& address) noexcept {
    struct stat found {};
    if (::lstat(path.c_str(), &found) != 0) return errno_code();
    if (!S_ISSOCK(found.st_mode)) return UnixErrc::not_a_stream_socket;
    const Socket probe = Socket::stream(AF_UNIX);
    if (!probe) return errno_code();
    // Only this answer shows that no server listens. A server whose queue is full answers EAGAIN.
    if (::connect(probe.get(), address.as_sockaddr(), address.size) == 0 || errno != ECONNREFUSED) {
        return std::make_error_code(std::errc::address_in_use);
    }
    return ::unlink(path.c_str()) == 0 ? std::error_code{} : errno_code();
}

/// Listens at a path.   Blocks: at most a second, while another process locks the directory.
[[nodiscard]] inline std::error_code listen_at(const UnixPath& where, int backlog, Socket& socket,
                                               UnixFile& file) {
    SocketAddress address;
    if (const std::error_code error = unix_address(where, address)) return error;
    Socket made = Socket::stream(AF_UNIX);
    if (!made) return errno_code();
    const auto bind = [&] { return ::bind(made.get(), address.as_sockaddr(), address.size) == 0; };
    // Held until the socket listens: between bind(2) and listen(2) a file looks stale.
    const Descriptor lock = where.is_abstract() ? Descriptor{} : lock_directory_of(where.path);
    if (!bind()) {
        if (errno != EADDRINUSE || !lock) return errno_code();
        if (const std::error_code error = remove_stale(where.path, address)) return error;
        if (!bind()) return errno_code();
    }
    if (!where.is_abstract()) file = UnixFile{where.path};
    if (::listen(made.get(), backlog) != 0) {
        const std::error_code error = errno_code();
        file.remove();
        return error;
    }
    socket = std::move(made);
    return {};
}

}}}  // namespace belay::posix::detail
