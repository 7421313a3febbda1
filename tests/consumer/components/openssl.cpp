// SPDX-License-Identifier: MIT
#include <belay/version.hpp>

#include <openssl/crypto.h>
#include <openssl/ssl.h>

int main() { return OpenSSL_version(0) != nullptr && TLS_method() != nullptr ? 0 : 1; }
