# Tab completion of mldlc for fish: mldlc completion fish | source
function __mldlc
    mldlc completion --answer fish (commandline -cp | string collect) 2>/dev/null
end
complete -c mldlc -f -a '(__mldlc)'
