// SPDX-License-Identifier: MIT
/// \file tests/support/openssl/certificate_authority.hpp
/// CertificateAuthority: issues certificates of each valid and invalid kind, by openssl.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <belay/openssl/tls_error.hpp>

#include "support/beside_program.hpp"
#include "support/catch.hpp"
#include "support/server_process.hpp"
#include "support/temporary_directory.hpp"

#if !defined(BELAY_PYTHON)
#    define BELAY_PYTHON "python3"
#endif
#if !defined(BELAY_TLS_SERVER)
#    define BELAY_TLS_SERVER "tests/support/openssl/tls_server.py"
#endif

namespace belay_test {

/// The files of one certificate and of its key.
struct CertificateFiles {
    std::string certificates;
    std::string key;
};

class CertificateAuthority {
public:
    CertificateAuthority() {
        std::ofstream{directory_ / "ca.conf"}
            << "[ca]\ndefault_ca=it\n[it]\nnew_certs_dir=.\ndatabase=index.txt\nserial="
               "serial\npolicy=names\n"
               "default_md=sha256\ncertificate=ca.pem\nprivate_key=ca.key\nunique_subject=no\n"
               "copy_extensions=copy\ndefault_crl_days=2\n[names]\ncommonName=supplied\n";
        std::ofstream{directory_ / "index.txt"}.flush();
        std::ofstream{directory_ / "serial"} << "01\n";
        run("req -x509 " + new_key() + " -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
    }
    [[nodiscard]] std::string file() const { return directory_ / "ca.pem"; }

    /// `extension` is in openssl's form: "subjectAltName=DNS:localhost". Dates are in UTC.
    CertificateFiles issue(const std::string& extension,
                           const std::string& begin = "20200101000000Z",
                           const std::string& end = "20990101000000Z") {
        const std::string name = std::to_string(++count_);
        run("req " + new_key() + " -subj /CN=server -addext '" + extension + "' -keyout " + name +
            ".key -out " + name + ".csr");
        run("ca -batch -config ca.conf -in " + name + ".csr -startdate " + begin + " -enddate " +
            end + " -out " + name + ".pem");
        return {directory_ / (name + ".pem"), directory_ / (name + ".key")};
    }
    /// Returns a file with the certificate of this authority and its list of revoked certificates.
    std::string revoke(const CertificateFiles& issued) {
        run("ca -config ca.conf -revoke " + issued.certificates);
        run("ca -config ca.conf -gencrl -out list.pem");
        return joined(file(), directory_ / "list.pem");
    }
    /// Returns a file with both.
    std::string joined(const std::string& first, const std::string& second) {
        const std::string both = directory_ / ("both" + std::to_string(++count_) + ".pem");
        std::ofstream{both} << std::ifstream{first}.rdbuf() << std::ifstream{second}.rdbuf();
        return both;
    }

private:
    static std::string new_key() {
        return "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    }
    void run(const std::string& words) const {
        const std::string command =
            "cd " + directory_.path() + " && openssl " + words + " >log 2>&1 || (cat log; false)";
        REQUIRE(std::system(command.c_str()) == 0);
    }

    TemporaryDirectory directory_;
    int count_ = 0;
};

/// One certificate of a server, and the error of a client that dials `host`.
struct CertificateCase {
    const char* what;
    CertificateFiles server;
    std::string trusted;  ///< a file; nothing is trusted if it is empty
    std::error_code error;
    std::string host = "localhost";
    bool checks_revocation = false;
};

/// Certificates of each invalid kind, and valid ones, whose error is empty.
struct CertificateCases {
    CertificateCases() {
        using enum belay::tls::Errc;
        const std::string name = "subjectAltName=DNS:localhost";
        const std::string other = "subjectAltName=DNS:other.example";
        const std::string then = "20210101000000Z";
        const std::string later = "20980101000000Z";
        const std::string last = "20990101000000Z";
        const std::string first = "20200101000000Z";
        const std::string trust = authority.file();
        const CertificateFiles right = authority.issue(name);
        const CertificateFiles both = authority.issue(other, first, then);
        const CertificateFiles revoked = authority.issue(name);
        const std::string with_list = authority.revoke(revoked);
        const CertificateFiles alone = self_signed(name);
        const CertificateFiles with_root{authority.joined(right.certificates, trust), right.key};
        all = {
            {"right", right, trust, {}},
            {"of an address",
             authority.issue("subjectAltName=IP:127.0.0.1"),
             trust,
             {},
             "127.0.0.1"},
            {"not revoked", right, with_list, {}, "localhost", true},
            {"self-signed and trusted", alone, alone.certificates, {}},
            {"expired", authority.issue(name, first, then), trust, certificate_expired},
            {"not yet valid", authority.issue(name, later, last), trust, certificate_not_yet_valid},
            {"other name", authority.issue(other), trust, certificate_other_name},
            {"name for an address", right, trust, certificate_other_name, "127.0.0.1"},
            {"unknown issuer", right, "", certificate_unknown_issuer},
            {"another issuer", right, alone.certificates, certificate_unknown_issuer},
            {"unknown issuer that is sent", with_root, "", certificate_unknown_issuer},
            {"self-signed", alone, "", certificate_self_signed},
            {"revoked", revoked, with_list, certificate_revoked, "localhost", true},
            {"other purpose", authority.issue(name + "\nextendedKeyUsage=clientAuth"), trust,
             certificate_rejected},
            {"expired, and another name", both, trust, certificate_other_name},
            {"unknown issuer, expired, and another name", both, "", certificate_unknown_issuer},
        };
    }

    CertificateAuthority authority{};
    std::vector<CertificateCase> all{};

private:
    CertificateFiles self_signed(const std::string& extension) {
        const CertificateFiles files{directory_ / "alone.pem", directory_ / "alone.key"};
        const std::string command =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
            "-subj /CN=server -addext '" +
            extension + "' -keyout " + files.key + " -out " + files.certificates + " 2>/dev/null";
        REQUIRE(std::system(command.c_str()) == 0);
        return files;
    }

    TemporaryDirectory directory_;
};

/// A server that sends back the bytes that it receives over TLS: tls_server.py.
class TlsServer : public ServerProcess {
public:
    /// With `trusted`, clients need a certificate of an issuer in that file. The server sends
    /// nothing before it has received `at_least` bytes.
    explicit TlsServer(const CertificateFiles& files, const std::string& trusted = {},
                       std::size_t at_least = 0)
        : ServerProcess{{BELAY_PYTHON, beside_program(BELAY_TLS_SERVER), files.certificates,
                         files.key, trusted, std::to_string(at_least)}} {
        REQUIRE(std::sscanf(line_with("ready ").c_str(), "ready %hu", &port) == 1);
    }
    void hang_up() const { send_command("hang up"); }

    unsigned short port = 0;
};

}  // namespace belay_test
