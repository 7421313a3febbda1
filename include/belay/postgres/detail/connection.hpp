// SPDX-License-Identifier: MIT
/// \file belay/postgres/detail/connection.hpp
/// PostgresConnection: a connection to PostgreSQL whose calls have a time limit.
#pragma once

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>    // std::copy, std::max
#include <chrono>       // std::chrono::ceil
#include <cstddef>      // std::byte, std::size_t
#include <cstdint>      // std::int64_t, std::uint64_t
#include <memory>       // std::unique_ptr
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::move
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/clocks.hpp>
#include <belay/journal/id.hpp>
#include <belay/postgres/error.hpp>
#include <belay/postgres/rooms_options.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// An argument of a command: bytes, or a number or an array as text.
class PostgresValue {
public:
    PostgresValue(BytesView bytes) : text_{as_text(bytes)}, binary_{1} {}
    PostgresValue(const Id& id) : text_{as_text(BytesView{id})}, binary_{1} {}
    PostgresValue(std::uint64_t number) : text_{std::to_string(number)} {}
    PostgresValue(std::string text) : text_{std::move(text)} {}

    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    [[nodiscard]] int binary() const noexcept { return binary_; }

private:
    std::string text_;
    int binary_ = 0;
};

/// The rows of an answer.
class PostgresRows {
public:
    explicit PostgresRows(PGresult* result = nullptr) noexcept : result_{result, &PQclear} {}
    [[nodiscard]] PGresult* get() const noexcept { return result_.get(); }
    [[nodiscard]] int size() const noexcept { return PQntuples(result_.get()); }
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): rows before columns, as in libpq
    [[nodiscard]] BytesView bytes(int row, int column) const noexcept {
        const char* const data = PQgetvalue(result_.get(), row, column);
        const int size = PQgetlength(result_.get(), row, column);
        return as_bytes(std::string_view{data, static_cast<std::size_t>(size)});
    }
    /// Returns a bigint.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): rows before columns, as in libpq
    [[nodiscard]] std::uint64_t number(int row, int column) const noexcept {
        std::uint64_t all = 0;
        for (const std::byte b : bytes(row, column)) all = all << 8U | std::to_integer<unsigned>(b);
        return all;
    }
    [[nodiscard]] Id id(int row, int column) const noexcept {
        Id id{};
        const BytesView found = bytes(row, column);
        if (found.size() == id.size()) std::copy(found.begin(), found.end(), id.begin());
        return id;
    }

private:
    std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

/// Connects at the first command, and again after a failure.
///
/// Thread safety: one thread.   Blocks: each command, until its time limit.
class PostgresConnection {
public:
    explicit PostgresConnection(const postgres::RoomsOptions& options) : options_{options} {}

    /// Returns whether a connection was made since the last call of this function.
    [[nodiscard]] bool take_connected() noexcept { return std::exchange(connected_, false); }
    [[nodiscard]] PGconn* get() const noexcept { return connection_.get(); }
    void close() noexcept { connection_.reset(); }

    /// Makes a connection, unless there is one. `setup` is made on it.
    [[nodiscard]] PersistenceError connect(const std::string& setup) {
        if (connection_ && PQstatus(connection_.get()) == CONNECTION_OK) return {};
        if (SteadyClock{}.now() < down_until_) return why_;
        // libpq takes the last of each.
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(options_.command_timeout);
        const std::string timeout = std::to_string(std::max<std::int64_t>(2, seconds.count()));
        const std::string limit = std::to_string(options_.command_timeout.count());
        const char* const names[] = {"dbname", "connect_timeout", "tcp_user_timeout", nullptr};
        const char* const values[] = {options_.connection.c_str(), timeout.c_str(), limit.c_str(),
                                      nullptr};
        connection_.reset(PQconnectdbParams(names, values, 1));
        if (PQstatus(connection_.get()) != CONNECTION_OK) return lost(code_of_connection());
        PQsetnonblocking(connection_.get(), 1);
        const std::string held = std::to_string(options_.command_timeout.count() / 2);
        PostgresRows rows;
        PersistenceError error = run("SET statement_timeout = " + limit +
                                         "; SET client_min_messages = warning"
                                         "; SET idle_in_transaction_session_timeout = " +
                                         held,
                                     rows);
        if (!error) error = run(setup, rows);
        if (error) return lost(std::move(error));
        connected_ = true;
        return {};
    }
    /// Runs several commands without arguments.   Pre: connected.
    [[nodiscard]] PersistenceError run(const std::string& commands, PostgresRows& rows) {
        return finished(PQsendQuery(connection_.get(), commands.c_str()), rows);
    }
    /// Runs a command.   Pre: connected.
    [[nodiscard]] PersistenceError run(const std::string& command,
                                       const std::vector<PostgresValue>& values,
                                       PostgresRows& rows) {
        std::vector<const char*> texts;
        std::vector<int> lengths;
        std::vector<int> formats;
        for (const PostgresValue& value : values) {
            texts.push_back(value.text().c_str());
            lengths.push_back(static_cast<int>(value.text().size()));
            formats.push_back(value.binary());
        }
        const int sent =
            PQsendQueryParams(connection_.get(), command.c_str(), static_cast<int>(values.size()),
                              nullptr, texts.data(), lengths.data(), formats.data(), 1);
        return finished(sent, rows);
    }
    /// Ends a transaction that has failed.
    void roll_back() {
        PostgresRows rows;
        if (connection_ && PQtransactionStatus(connection_.get()) != PQTRANS_IDLE)
            static_cast<void>(run("ROLLBACK", rows));
    }
    [[nodiscard]] PersistenceError failed(postgres::Errc code) const {
        std::string words = connection_ ? PQerrorMessage(connection_.get()) : "";
        while (!words.empty() && words.back() == '\n') words.pop_back();
        const std::error_code error = make_error_code(code);
        return {error, "PostgreSQL", std::move(words), postgres_category().advice(error)};
    }

private:
    [[nodiscard]] PersistenceError lost(postgres::Errc code) { return lost(failed(code)); }
    [[nodiscard]] PersistenceError lost(PersistenceError why) {
        why_ = std::move(why);
        down_until_ = after(SteadyClock{}.now(), options_.retry_after);
        close();
        return why_;
    }
    /// libpq has only the words of a connection that failed.
    [[nodiscard]] postgres::Errc code_of_connection() const {
        const std::string_view words = PQerrorMessage(connection_.get());
        const auto has = [&](std::string_view text) { return words.find(text) != words.npos; };
        if (has("password") || has("authentication") || has("certificate"))
            return postgres::Errc::unauthorized;
        if (has("too many") || has("remaining connection slots") || has("is starting up") ||
            has("is shutting down") || has("in recovery"))
            return postgres::Errc::not_ready;
        if (has("read-only") || has("read-write")) return postgres::Errc::read_only;
        return postgres::Errc::connection_lost;
    }
    /// Waits for the answer to a command that was sent. `rows` are those of the last one.
    [[nodiscard]] PersistenceError finished(int sent, PostgresRows& rows) {
        if (sent == 0) return lost(postgres::Errc::connection_lost);
        const Instant until = after(SteadyClock{}.now(), options_.command_timeout);
        PersistenceError error;
        for (;;) {
            // A server that is frozen reads nothing.
            int unsent = PQflush(connection_.get());
            while (unsent != 0 || PQisBusy(connection_.get()) != 0) {
                if (!wait(until, unsent)) return lost(postgres::Errc::no_answer);
                if (PQconsumeInput(connection_.get()) == 0)
                    return lost(postgres::Errc::connection_lost);
                unsent = PQflush(connection_.get());
                if (unsent < 0) return lost(postgres::Errc::connection_lost);
            }
            PostgresRows next{PQgetResult(connection_.get())};
            if (next.get() == nullptr) break;
            const ExecStatusType status = PQresultStatus(next.get());
            if (status == PGRES_FATAL_ERROR && !error) {
                const char* const state = PQresultErrorField(next.get(), PG_DIAG_SQLSTATE);
                error = failed(state != nullptr ? code_of_postgres(state)
                                                : postgres::Errc::connection_lost);
            }
            rows = std::move(next);
        }
        if (error.code == postgres::Errc::read_only || error.code == postgres::Errc::no_tables ||
            PQstatus(connection_.get()) != CONNECTION_OK)
            return lost(std::move(error));
        return error;
    }
    /// Waits until the connection can be read, or also written.
    /// Returns: false after the time limit.
    [[nodiscard]] bool wait(Instant until, int writes) const {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(elapsed(SteadyClock{}.now(), until));
        if (left.count() <= 0) return false;
        const int events = writes != 0 ? POLLIN | POLLOUT : POLLIN;
        pollfd polled{PQsocket(connection_.get()), static_cast<short>(events), 0};
        // An interruption and an error are handled by the next turn.
        static_cast<void>(::poll(&polled, 1, static_cast<int>(left.count())));
        return true;
    }

    const postgres::RoomsOptions options_;
    std::unique_ptr<PGconn, decltype(&PQfinish)> connection_{nullptr, &PQfinish};
    Instant down_until_ = always;
    PersistenceError why_{};
    bool connected_ = false;
};

}}}  // namespace belay::detail
