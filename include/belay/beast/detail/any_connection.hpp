// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/any_connection.hpp
/// AnyConnection, AnyDialled and AnyHandle: connections whose code is compiled in another file.
#pragma once

#include <concepts>  // std::derived_from
#include <memory>    // std::unique_ptr
#include <utility>   // std::move

#include <belay/core/bytes.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/random.hpp>
#include <belay/link/link.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A connection. The functions are those of BeastConnection.
class AnyConnection {
public:
    AnyConnection() = default;
    AnyConnection(const AnyConnection&) = delete;
    AnyConnection& operator=(const AnyConnection&) = delete;
    virtual ~AnyConnection() = default;

    virtual SendResult send(const Bytes& message) noexcept = 0;
    virtual void ping() noexcept = 0;
    virtual void limit_messages(std::size_t bytes) noexcept = 0;
    virtual void limit_output(std::size_t bytes) noexcept = 0;
    virtual void resume_reading() noexcept = 0;
    virtual void close(const Failure& why) noexcept = 0;
};

/// A connection of a client.
class AnyDialled : public AnyConnection {
public:
    [[nodiscard]] virtual Instant deadline() const noexcept = 0;
    virtual void advance(Turn& turn) = 0;
};

/// The AnyConnection or AnyDialled of a connection, which cannot be moved: `open()` returns it.
template <class Base, class Connection>
class AnyConnectionOf : public Base {
public:
    template <class Open>
    explicit AnyConnectionOf(Open open) : connection_{open()} {}

    SendResult send(const Bytes& message) noexcept override { return connection_.send(message); }
    void ping() noexcept override { connection_.ping(); }
    void limit_messages(std::size_t bytes) noexcept override { connection_.limit_messages(bytes); }
    void limit_output(std::size_t bytes) noexcept override { connection_.limit_output(bytes); }
    void resume_reading() noexcept override { connection_.resume_reading(); }
    void close(const Failure& why) noexcept override { connection_.close(why); }

protected:
    [[nodiscard]] Connection& connection() noexcept { return connection_; }
    [[nodiscard]] const Connection& connection() const noexcept { return connection_; }

private:
    Connection connection_;
};

/// Owns an AnyConnection or AnyDialled; null is a connection that is down.
template <class Any>
class AnyHandle {
    static constexpr bool dials = std::derived_from<Any, AnyDialled>;

public:
    /// Called by open().
    explicit AnyHandle(std::unique_ptr<Any> connection) noexcept
        : connection_{std::move(connection)} {}

    [[nodiscard]] SendResult send(const Bytes& message) noexcept {
        return connection_ ? connection_->send(message) : SendResult::down;
    }
    void ping() noexcept {
        if (connection_) connection_->ping();
    }
    void limit_messages(std::size_t bytes) noexcept {
        if (connection_) connection_->limit_messages(bytes);
    }
    void limit_output(std::size_t bytes) noexcept {
        if (connection_) connection_->limit_output(bytes);
    }
    void resume_reading() noexcept {
        if (connection_) connection_->resume_reading();
    }
    [[nodiscard]] Instant deadline() const noexcept
        requires dials
    {
        return connection_->deadline();
    }
    void advance(Turn& turn)
        requires dials
    {
        connection_->advance(turn);
    }
    void close(const Failure& why) noexcept {
        if (connection_) connection_->close(why);
    }

private:
    std::unique_ptr<Any> connection_;
};

}}}  // namespace belay::detail
